"""Draws a finished workflow: its steps with their states and times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from examples.demo.tables import StepRow

MOST_SHOWN = 20
WIDTH = 60


def drawn(steps: Sequence[StepRow]) -> str:
    """The graph as text. Of many steps that read files, the slowest and the troubled."""
    return "\n".join(_lines(steps))


def _lines(steps: Sequence[StepRow]) -> Iterator[str]:
    readers = [step for step in steps if step.deps == ["split"]]
    shown = _chosen(readers)
    for step in steps:
        if step not in readers:
            yield _line(f"{step.name}{_after(step)}", step)
        elif step in shown:
            yield _line(f"  |- {step.name}", step)
        if step is readers[-1] and len(shown) < len(readers):
            hidden = [reader for reader in readers if reader not in shown]
            seconds = sum(reader.seconds for reader in hidden)
            yield f"  |- and {len(hidden)} quicker ones, all completed, {seconds:.3f} s together"


def _chosen(readers: Sequence[StepRow]) -> list[StepRow]:
    if len(readers) <= MOST_SHOWN:
        return list(readers)
    return sorted(
        readers, key=lambda step: (step.state == "completed", -step.rescues, -step.seconds)
    )[: max(MOST_SHOWN, sum(step.state != "completed" for step in readers))]


def _after(step: StepRow) -> str:
    if not step.deps:
        return ""
    after = step.deps[0] if len(step.deps) == 1 else f"{len(step.deps)} steps"
    return f"  (after {after})"


def _line(label: str, step: StepRow) -> str:
    if len(label) > WIDTH:
        label = f"{label[: WIDTH - 21]}…{label[-20:]}"
    notes = [f"attempt {step.attempt}"] if step.attempt > 1 else []
    if step.rescues:
        notes.append(f"rescued {step.rescues}x")
    if step.state != "completed" and step.error:
        notes.append(step.error.splitlines()[-1][:100])
    end = f"{step.state:<10} {step.seconds:7.3f} s"
    return f"{label:<{WIDTH}}  {end}  {', '.join(notes)}".rstrip()
