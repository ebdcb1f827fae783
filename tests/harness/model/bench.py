"""What all rules share: a call made to the library and to the model, which must agree after it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, TypeVar
from uuid import UUID

from hypothesis.stateful import RuleBasedStateMachine, invariant

from baton.settling.announce import emit_finished
from baton.words import rows
from baton.words.effects import Effects
from model import comparison
from model.calls import LOST, Commits, Crash, Held, Lost, Outcome, Worker, run
from model.coverage import Coverage
from model.operations import Model
from model.state import TERMINAL, Event, Step as ModelStep, Workflow
from model.world import Engine, World

T = TypeVar("T")


class Bench(RuleBasedStateMachine):
    """`world` and `coverage` are shared by all examples."""

    world: ClassVar[World]
    coverage: ClassVar[Coverage]

    def __init__(self) -> None:
        super().__init__()
        self.world.clear()
        self.model = Model()
        self.engines: dict[int, Engine] = {}
        self.held: dict[int, list[tuple[Held, rows.ClaimedJob]]] = {}
        self.buffer: dict[int, list[tuple[Outcome, rows.Outcome]]] = {}
        self.ids: dict[int, str] = {}
        self.values = 0
        self.moves = 0
        self.unannounced: dict[int, int] = {}
        self.rule = ""
        self.untold: dict[int, int] = {}
        self.lost = False
        self.sound = True
        for _ in range(2):
            self._hire()
        self.dump = self.world.run(comparison.read(self.world.monitor))
        self.coverage.examples += 1

    # How a rule is made

    def _hire(self) -> int:
        number = len(self.engines) + 1
        self.model.workers[number] = Worker(number)
        self.engines[number] = self.world.engine()
        self.held[number], self.buffer[number] = [], []
        return number

    def _call(
        self,
        rule: str,
        work: Commits[T],
        real: Callable[[], Awaitable[T]] | Callable[[], Awaitable[Any]],
        crash: Crash | None = None,
    ) -> tuple[T | Lost, Any]:
        """Make a call both ways: what the model says, and what the library returned."""
        self.rule = rule
        found = self.world.call(real, crash)
        # Last: the model asks for ids that the database has given.
        wanted = run(work, crash)
        assert (wanted is LOST) is (found is LOST), f"{rule} {crash}: {found}, expected {wanted}"
        self.lost = wanted is LOST
        if wanted is LOST and crash is not None:
            self.coverage.crashes[rule, "after" if crash.after else "before"] += 1
        return wanted, found

    def _tell(self, effects: Effects) -> None:
        """As the caller of a verb does."""
        emit_finished(None, effects.completions)

    def _by_hand(self, rule: str, statement: str, *args: object) -> None:
        self.rule = rule
        self.world.execute(statement, *args)

    def then(self, rule: Callable[..., None], *given: object) -> None:
        """One rule as part of another: compared as every rule is."""
        rule(*given)
        self.agrees()

    @invariant()
    def agrees(self) -> None:
        if not self.rule:
            return
        rule, self.rule = self.rule, ""
        self.sound = False
        found = self.world.run(comparison.read(self.world.monitor))
        engines = {number: str(engine.id) for number, engine in self.engines.items()}
        wanted = comparison.expected(self.model, self.ids, engines)
        wrong = comparison.differences(comparison.alike(found, self.model), wanted)
        assert not wrong, f"after {rule}:\n" + "\n".join(wrong)
        silent, self.lost = self.lost, False
        for number, name in self.ids.items():
            untold = self.model.announcements.get(number, 0) - self.world.told[UUID(name)]
            assert untold >= 0, f"workflow {number} told twice"
            # Who lost the reply cannot tell.
            known = self.untold.get(number, 0)
            assert silent or untold <= known, f"workflow {number} not told after {rule}"
            self.untold[number] = untold
        self.moves += 1
        self.coverage.marks.update(self.model.noted)
        self.model.noted.clear()
        self.coverage.note(rule, self.dump, found)
        self.dump = found
        self.sound = True

    def _end_by_hand(self, name: str, step: ModelStep, state: str) -> None:
        self.model.end_job(step, state)
        self._by_hand(
            name,
            f"UPDATE baton.oban_jobs SET state = '{state}',"
            f" {state}_at = timezone('UTC', now()) - interval '1 hour'"
            " WHERE id = $1 AND state NOT IN ('completed', 'cancelled', 'discarded')",
            step.id,
        )

    def _now_and_then(self) -> bool:
        """What would change nothing is tried too, but not all the time."""
        return len(self.model.workflows) > 0 and self.moves % 5 == 0

    def _claimable(self) -> bool:
        lost = any(worker.lost for worker in self.model.workers.values())
        return lost or any(map(self.model.claimable, ("default", "io")))

    def _orphaned(self) -> bool:
        return any(map(self.model.is_orphan, self.model.steps))

    def _unannounced(self) -> bool:
        return any(not w.announced and not w.outstanding for w in self.model.workflows.values())

    def _announced(self) -> list[Workflow]:
        return [workflow for workflow in self.model.workflows.values() if workflow.announced]

    def _due(self) -> bool:
        late = any(event.overdue is not None for event in self.model.events)
        return late or any(group.due is not None for group in self.model.groups)

    def _open_events(self) -> list[Event]:
        return [event for event in self.model.events if event.state == "open"]

    def _stageable(self) -> bool:
        waiting = ("scheduled", "retryable")
        return any(s.job and s.job.due and s.state in waiting for s in self.model.steps)

    def _prunable_jobs(self) -> bool:
        return any(s.workflow.announced and s.state in TERMINAL for s in self.model.steps)

    def _steps(self) -> list[ModelStep]:
        return list(self.model.steps)

    def _in_state(self, state: str) -> list[ModelStep]:
        return [step for step in self._steps() if step.state == state]


def pick_of(found: Sequence[T], pick: int) -> T:
    return found[pick % len(found)]
