"""What a whole run says: one JSON document, and tables of figures and ratios to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.figures import INSERTED, STEP_MS, STEPS, Figure, Figures, Ratio, best, ratio
from benchmarks.runs import Run
from benchmarks.systems import BATON, FLOOR, PEERS, VARIANTS

COMMIT_MS = "durable one-row commit, ms"
BATCHES_OF_100 = "claim and complete 100, 1 connection, jobs/s"


@dataclass(frozen=True)
class Row:
    label: str
    ours: Figure | None
    peers: tuple[Figure | None, ...]

    @property
    def against_best(self) -> tuple[str, Ratio] | None:
        fastest = best(peer for peer in self.peers if peer)
        if fastest is None:
            return None
        quotient = ratio(f"{self.label}: baton / {fastest.system}", self.ours, fastest)
        return (fastest.system, quotient) if quotient else None


def rows(figures: Figures, workloads: Sequence[str]) -> Iterator[Row]:
    """Baton and its peers. A peer has no workflows of flat jobs and no insertion of graphs: its
    flat jobs stand there instead."""
    flat = next((name for name in workloads if name[0] == "J"), None)
    for name in workloads:
        if name == FLOOR:
            continue
        for metric in (STEP_MS,) if name[0] == "C" else (STEPS, INSERTED):
            if name[0] == "F" and metric == INSERTED:
                continue
            stand_in = name[0] == "W" or (name[0] == "D" and metric == INSERTED)
            source = flat if stand_in else name
            yield Row(
                f"{name}, {metric}{' (peers: ' + (flat or 'none') + ')' if stand_in else ''}",
                figures.get(name, BATON, metric),
                tuple(figures.get(source, peer, metric) for peer in PEERS),
            )


def own_ratios(figures: Figures, workloads: Sequence[str]) -> list[Ratio]:
    """Baton against itself and against the floor."""

    def pair(what: str, left: tuple[str, str], right: tuple[str, str]) -> Ratio | None:
        return ratio(what, figures.get(*left, STEPS), figures.get(*right, STEPS))

    found: list[Ratio | None] = []
    for name in workloads:
        if name[0] == "D":
            for variant in VARIANTS:
                found.append(pair(f"{name}: {variant} / baton", (name, variant), (name, BATON)))
            floor = figures.get(FLOOR, FLOOR, BATCHES_OF_100)
            what = f"{name}: baton / floor ({BATCHES_OF_100})"
            found.append(ratio(what, figures.get(name, BATON, STEPS), floor))
        if name[0] == "C":
            what = f"{name}: ms per link, floor ({COMMIT_MS}) / baton"
            commit = figures.get(FLOOR, FLOOR, COMMIT_MS)
            found.append(ratio(what, figures.get(name, BATON, STEP_MS), commit))
    for kind in "DF":
        sizes = sorted((each for each in workloads if each[0] == kind), key=_size)
        if len(sizes) > 1:
            what = f"cost per step, {sizes[-1]} / {sizes[0]}"
            found.append(pair(what, (sizes[0], BATON), (sizes[-1], BATON)))
    for name in workloads:
        if name[0] == "W":
            found.append(pair(f"{name} / J{name[1:]}", (name, BATON), (f"J{name[1:]}", BATON)))
    return [each for each in found if each]


def document(
    runs: Sequence[Run], workloads: Sequence[str], about: dict[str, Any], not_run: dict[str, str]
) -> dict[str, Any]:
    figures = Figures(runs)
    against = [found[1] for row in rows(figures, workloads) if (found := row.against_best)]
    return {
        **about,
        "not_run": not_run,
        "figures": [figure.as_json() for figure in figures.all],
        "ratios": [asdict(each) for each in (*against, *own_ratios(figures, workloads))],
        "runs": [asdict(run) for run in runs],
    }


def text(runs: Sequence[Run], workloads: Sequence[str], not_run: dict[str, str]) -> str:
    """Markdown. Every ratio says how many times as fast, so above 1 is better."""
    figures = Figures(runs)
    lines = _table(["", BATON, *PEERS, "baton / best peer"], _peer_cells(figures, workloads))
    lines += _table(
        ["ratio", "median (lowest - highest)"],
        [[each.what, _spread(each)] for each in own_ratios(figures, workloads)],
    )
    floor = [figure for figure in figures.all if figure.system == FLOOR]
    lines += _table(["floor", "median"], [[figure.metric, _shown(figure)] for figure in floor])
    disturbed = sum(run.disturbed for run in runs)
    if disturbed:
        lines.append(f"Others used the machine before or after {disturbed} of {len(runs)} runs.")
    lines += [f"not run: {name}: {reason}" for name, reason in not_run.items()]
    lines += [
        f"FAILED: {run.system}, {run.workload}, round {run.round}: {run.error}"
        for run in runs
        if run.result is None
    ]
    return "\n".join(lines)


def _peer_cells(figures: Figures, workloads: Sequence[str]) -> list[list[str]]:
    cells: list[list[str]] = []
    for row in rows(figures, workloads):
        against = row.against_best
        verdict = f"{_spread(against[1])} {against[0]}" if against else ""
        cells.append([row.label, *map(_shown, (row.ours, *row.peers)), verdict])
    return cells


def _spread(each: Ratio) -> str:
    return f"{each.median:.2f} ({each.lowest:.2f} - {each.highest:.2f})"


def _size(workload: str) -> int:
    return int(workload[1:])


def _shown(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    return f"{figure.median:,.0f}" if figure.median >= 100 else f"{figure.median:.3g}"


def _table(head: list[str], body: list[list[str]]) -> list[str]:
    if not body:
        return []
    widths = [max(len(row[column]) for row in (head, *body)) for column in range(len(head))]

    def line(row: list[str]) -> str:
        return "| " + " | ".join(map(str.ljust, row, widths)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return [line(head), rule, *map(line, body), ""]
