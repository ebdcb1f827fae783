"""Rules of sweeps, and of those who change rows behind our back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from baton import EngineSettings, Plugin
from baton.building.insert import insert_all
from baton.store.database import database_of
from baton.store.store import Store
from baton.sweep.prune import Pruner
from baton.sweep.repair import Sweeper
from baton.waits.expire import expire_waits
from baton.waits.spread import hand_out
from baton.words import rows
from baton.words.states import JobState
from model.asking import Asking
from model.bench import pick_of
from model.calls import Commits, Crash, Lost, run
from model.drawing import built, crashes, graphs, picks
from model.state import TERMINAL, NewStep, Step as ModelStep

BETWEEN = ("sweep", "retry", "cancel_workflow", "delete")
"""What may happen between a look and what is done about it."""
ENDED = {JobState.COMPLETED: 0.0, JobState.CANCELLED: 0.0, JobState.DISCARDED: 0.0}


async def _timers(database: Store, settings: EngineSettings) -> int:
    settled = await expire_waits(database, settings)
    return settled + await hand_out(database, settings)


class Sweeping(Asking):
    # Sweeps

    @precondition(lambda self: self.model.ended() or self._now_and_then())
    @rule(crash=crashes)
    def sweep(self, crash: Crash | None) -> None:
        self._call("sweep", self.model.sweep(), self._sweeping, crash)

    async def _sweeping(self) -> None:
        await Sweeper().settle(self.world.database, self.world.settings)

    @precondition(lambda self: self.model.ended())
    @rule(
        what=st.sampled_from(BETWEEN),
        pick=picks,
    )
    def sweep_between(self, what: str, pick: int) -> None:
        """Between a sweep's look and its first commit, something else happens."""
        self.rule = f"sweep_and_{what}"
        found = self.model.ended()
        if not found:
            return
        step = pick_of([step for steps in found.values() for step in steps], pick)
        database, number = self.world.database, step.workflow.number
        between: Callable[[], Awaitable[object]] = self._sweeping
        match what:
            case "sweep":
                run(self.model.sweep())
            case "retry" if step.job is not None and step.new.wait is None:
                self._retried(step)
                between = lambda: self.world.monitor.execute(_RETRY, step.id)  # noqa: E731
            case "cancel_workflow":
                run(self.model.cancel_workflow(number))
                between = lambda: self._cancel(number)  # noqa: E731
            case _:
                self.rule = "sweep_and_delete"
                step.lose_job()
                between = lambda: self.world.monitor.execute(_DELETE, step.id)  # noqa: E731

        async def pause() -> None:
            await between()

        run(self.model.sweep_found(found))
        database.commits.pause = pause
        self.world.call(self._sweeping)
        assert database.commits.pause is None

    @precondition(lambda self: self._unannounced() or self._now_and_then())
    @rule(crash=crashes)
    def announce(self, crash: Crash | None) -> None:
        sweeper, world = Sweeper(), self.world
        self._call(
            "announce",
            self.model.announce_all(),
            lambda: sweeper.announce(world.database, world.settings),
            crash,
        )

    @precondition(lambda self: self._due() or self._now_and_then())
    @rule(crash=crashes)
    def expire(self, crash: Crash | None) -> None:
        world = self.world
        wanted, found = self._call(
            "expire",
            self.model.expire(),
            lambda: _timers(world.database, world.settings),
            crash,
        )
        assert isinstance(wanted, Lost) or wanted == found

    @precondition(
        lambda self: self._due() or self._overdue() or self.model.ended() or self._now_and_then()
    )
    @rule(prune=st.booleans())
    def plugin(self, prune: bool) -> None:
        """All parts of the periodic sweep in turn."""
        plugin = Plugin(prune=prune, job_max_age={str(s): 0 for s in ENDED} if prune else None)

        def work() -> Commits[None]:
            yield from self.model.sweep()
            yield from self.model.announce_all()
            yield from self.model.expire_waits()
            yield from self.model.cancel_overdue()
            yield from self.model.hand_out()
            if prune:
                yield from self.model.prune_jobs()
                yield from self.model.prune_workflows(self.model.prunable())

        self._call(
            "plugin",
            work(),
            lambda: plugin.sweep(database_of(self.world.database), self.world.settings),
        )

    @precondition(lambda self: self._prunable_jobs() or self._now_and_then())
    @rule(crash=crashes)
    def prune_jobs(self, crash: Crash | None) -> None:
        pruner = Pruner(10_000, ENDED)
        self._call(
            "prune_jobs",
            self.model.prune_jobs(),
            lambda: pruner.prune_jobs(self.world.database),
            crash,
        )

    @precondition(lambda self: self.model.prunable() or self._now_and_then())
    @rule(crash=crashes)
    def prune(self, crash: Crash | None) -> None:
        pruner = Pruner(10_000, {})
        self._call(
            "prune",
            self.model.prune_workflows(self.model.prunable()),
            lambda: pruner.prune_workflows(self.world.database),
            crash,
        )

    @precondition(lambda self: self.model.prunable())
    @rule(limit=st.integers(1, 3))
    def prune_by_parts(self, limit: int) -> None:
        """A few rows at a time come to the same."""
        pruner = Pruner(limit, {})

        async def work() -> None:
            idle = 0
            while idle < 8:
                pruned = await pruner.prune_workflows(self.world.database)
                idle = 0 if pruned.most else idle + 1

        self._call("prune_by_parts", self.model.prune_workflows(self.model.prunable()), work)

    @precondition(lambda self: self.model.prunable())
    @rule(pick=picks, new=graphs())
    def prune_between(self, pick: int, new: list[NewStep]) -> None:
        """Between the look and the deletion, another pruner; then the number is used again."""
        self.rule = "prune_between"
        found = self.model.prunable()
        number, database = pick_of(found, pick), self.world.database
        self.model.drop(found)
        inserted: list[rows.Job] = []

        async def pause() -> None:
            await Pruner(10_000, {}).prune_workflows(database)
            inserted.extend(await insert_all([built(number, new)], engine=self.world))

        database.commits.pause = pause
        self.world.call(lambda: Pruner(10_000, {}).prune_workflows(database))
        self.model.insert(number, new, [job.id for job in inserted])
        self.model.drop(found)

    # Behind our back

    @precondition(lambda self: self.moves % 3 == 0 and self._steps())
    @rule(pick=picks, state=st.sampled_from(sorted(TERMINAL)))
    def end_by_hand(self, pick: int, state: str) -> None:
        live = [step for step in self._steps() if step.job and step.state not in TERMINAL]
        if live:
            self._end_by_hand("end_by_hand", pick_of(live, pick), state)

    @precondition(lambda self: self.moves % 3 == 0 and self._steps())
    @rule(pick=picks)
    def retry_by_hand(self, pick: int) -> None:
        """As an Oban dashboard does."""
        if found := self._movable(self._steps()):
            self._retry_by_hand(pick_of(found, pick))

    def _movable(self, steps: list[ModelStep]) -> list[ModelStep]:
        return [
            step
            for step in steps
            if step.state not in (None, "available", "executing")
            # Nobody performs a gate: one that has settled would stand there for ever.
            and not (step.gate and step.settled)
        ]

    def _retry_by_hand(self, step: ModelStep) -> None:
        self._retried(step)
        self._by_hand("retry_by_hand", _RETRY, step.id)

    def _retried(self, step: ModelStep) -> None:
        job = step.job
        assert job is not None
        job.state, job.due, job.stamp = "available", True, self.model.tick()
        job.max_attempts = max(job.max_attempts, job.attempt + 1)

    @precondition(lambda self: self.moves % 3 == 0 and self._steps())
    @rule(pick=picks)
    def delete_by_hand(self, pick: int) -> None:
        found = [step for step in self._steps() if step.job is not None]
        if found:
            self._delete_by_hand(pick_of(found, pick))

    def _delete_by_hand(self, step: ModelStep) -> None:
        step.lose_job()
        self._by_hand("delete_by_hand", _DELETE, step.id)

    @precondition(lambda self: self.moves % 3 == 0 and self._announced())
    @rule(pick=picks)
    def forget_announcement(self, pick: int) -> None:
        """Some workflow has ended and was not announced."""
        workflow = pick_of(self._announced(), pick)
        del workflow.completions[workflow.run]
        self.unannounced[workflow.number] = self.unannounced.get(workflow.number, 0) + 1
        self._by_hand(
            "forget_announcement",
            "DELETE FROM baton.workflow_completions WHERE workflow_id = $1 AND run = $2",
            UUID(int=workflow.number),
            workflow.run,
        )


_DELETE = "DELETE FROM baton.oban_jobs WHERE id = $1"
_RETRY = """
UPDATE baton.oban_jobs
SET state = 'available', max_attempts = greatest(max_attempts, attempt + 1),
    scheduled_at = timezone('UTC', clock_timestamp()),
    completed_at = NULL, cancelled_at = NULL, discarded_at = NULL
WHERE id = $1
"""
