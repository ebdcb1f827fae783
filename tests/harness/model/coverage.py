"""Which rules ran, which transitions of rows were seen, and which must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from model.comparison import Dump
from model.state import SETTLED, TERMINAL

KINDS = ("jobs", "nodes", "groups", "events", "workflows")
GONE = "gone"
NEW = "new"

Transition = tuple[str, str, str, str]
"""Kind of row, state before, rule, state after."""


def state(kind: str, row: list[object] | None, absent: str) -> str:
    if row is None:
        return absent
    match kind:
        case "jobs" | "groups":
            return str(row[0])
        case "nodes":
            return str(row[2] or "unsettled")
        case "events":
            return str(row[4])
        case _:
            return "finished" if row[4] else "open"


def transitions(rule: str, before: Dump, after: Dump) -> Iterator[Transition]:
    """What a rule changed, row by row."""
    for kind in KINDS:
        for key in {*before[kind], *after[kind]}:
            was = state(kind, before[kind].get(key), NEW)
            now = state(kind, after[kind].get(key), GONE)
            # A row that was not there and is not: nothing.
            if was != now:
                yield kind, was, rule, now
    for key in {*before["completions"], *after["completions"]}:
        known, told = key in before["completions"], key in after["completions"]
        if known is not told:
            yield "completions", NEW if told else "announced", rule, "announced" if told else GONE


def legal(transition: Transition) -> bool:
    """I7 and I9: what has ended stays as it is, but for what somebody begins anew; and what has not
    ended and been announced does not vanish.
    """
    kind, was, rule, now = transition
    if rule in ("retry_workflow", "complete_step") and (now != GONE or kind == "groups"):
        return True
    pruned = rule.startswith(("prune", "plugin"))
    match kind:
        case "jobs" if was in TERMINAL:
            return now == GONE or rule in ("retry_by_hand", "sweep_and_retry")
        case "jobs":
            return now != GONE or pruned or rule in ("delete_by_hand", "sweep_and_delete")
        case "nodes" if was in SETTLED:
            return now == GONE and pruned
        case "groups" if was in ("completed", "timeout", "cancelled"):
            return now == GONE and pruned
        case "workflows" if was == "finished":
            return (now == GONE and pruned) or rule == "prune_between"
        case "completions" if was == "announced":
            return pruned or rule == "forget_announcement"
        # The plugin settles, announces and prunes in one go.
        case "nodes" | "groups" | "workflows":
            return now != GONE or rule == "plugin"
        case _:
            return True


class Coverage:
    """Counts over all examples."""

    def __init__(self) -> None:
        self.rules: Counter[str] = Counter()
        self.crashes: Counter[tuple[str, str]] = Counter()
        self.seen: Counter[Transition] = Counter()
        self.marks: Counter[str] = Counter()
        self.examples = 0
        self.steps = 0

    def note(self, rule: str, before: Dump, after: Dump) -> None:
        self.steps += 1
        self.rules[rule] += 1
        found = list(transitions(rule, before, after))
        assert not (wrong := [one for one in found if not legal(one)]), wrong
        self.seen.update(found)

    def missing(
        self, rules: Iterable[str], declared: Iterable[Transition], marks: Iterable[str]
    ) -> list[str]:
        """Rules, declared transitions and marks that were never seen."""
        unused = [f"rule {rule}" for rule in sorted(rules) if not self.rules[rule]]
        unseen = [" ".join(one) for one in sorted(declared) if not self.seen[one]]
        return [*unused, *unseen, *(mark for mark in sorted(marks) if not self.marks[mark])]

    def table(self) -> str:
        """All of it, for people."""
        lines = [
            f"{self.examples} examples, {self.steps} steps",
            "",
            "rule: steps, broken before, after",
        ]
        for rule, count in sorted(self.rules.items()):
            broken = [self.crashes[rule, when] for when in ("before", "after")]
            lines.append(f"  {rule:<20} {count:>8} {broken[0]:>6} {broken[1]:>6}")
        lines += ["", "what no row shows: times"]
        lines += [f"  {mark:<45} {count:>8}" for mark, count in sorted(self.marks.items())]
        lines += ["", "row: state, rule, state: times"]
        for (kind, was, rule, now), count in sorted(self.seen.items()):
            lines.append(f"  {kind:<12} {was:<11} {rule:<16} -> {now:<11} {count:>8}")
        return "\n".join(lines)
