"""Typed calls that put settled steps back to their beginning, in one transaction under the
workflow's lock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from baton.store.settlement import Settlement


class Doomed(NamedTuple):
    """A step that a failed dependency would cancel at once."""

    step: str
    dependency: str
    state: str


class NamedStep(NamedTuple):
    """A step, and its worker; None where its job is gone."""

    name: str
    job_id: int
    worker: str | None


class Kept(NamedTuple):
    """Of steps whose past is kept, how many had settled, failed, and been skipped."""

    settled: int
    failed: int
    skipped: int


class Resetting(Settlement):
    """A settlement that can also undo."""

    _unseen = True

    async def choose(self, workflow_id: UUID, mode: str, names: Sequence[str]) -> list[int]:
        """The steps that a retry in this mode resets, ascending."""
        rows = await self._fetch("choose_resets", workflow_id, mode, names)
        return sorted(row["job_id"] for row in rows)

    async def read_named(self, workflow_id: UUID, names: Sequence[str]) -> dict[str, NamedStep]:
        rows = await self._fetch("read_retry_args", workflow_id, names)
        return {row["name"]: NamedStep(row["name"], row["job_id"], row["worker"]) for row in rows}

    async def find_waiting_again(self, chosen: Collection[int]) -> list[int]:
        """The steps, beside the chosen ones, that have not settled and depend on one that had."""
        rows = await self._fetch("find_waiting_again", list(chosen))
        return [row["job_id"] for row in rows if row["job_id"] not in chosen]

    async def read_grown(self, workflow_id: UUID) -> dict[int, int]:
        """The steps that others added while they ran, with these, by job ids."""
        rows = await self._fetch("read_grown", workflow_id)
        return {row["job_id"]: row["grown_by"] for row in rows}

    async def find_on_top(self, taken: Collection[int]) -> tuple[str, str] | None:
        """A step that came later and depends on one of these, with that one."""
        rows = await self._fetch("find_on_top", list(taken))
        return (rows[0]["step"], rows[0]["dependency"]) if rows else None

    async def find_held_by(self, taken: Collection[int]) -> dict[int, bool]:
        """The steps that wait for these and are none of them, and whether they are unsettled."""
        rows = await self._fetch("find_held_by", list(taken))
        return {row["job_id"]: row["unsettled"] for row in rows}

    async def untie(self, taken: Mapping[int, int], held: Collection[int]) -> None:
        """Take these steps out of the graph: what waited for them waits for who added them."""
        growers = list(taken.values())
        await self._fetch("tie_to_growers", list(taken), growers, list(held))
        await self._fetch("tie_growers", growers, list(held))
        await self._fetch("untie_dependencies", list(taken))

    async def keep_history(self, workflow_id: UUID, job_ids: Collection[int], run: int) -> Kept:
        (row,) = await self._fetch("keep_history", workflow_id, list(job_ids), run)
        return Kept(*row)

    async def remove(self, workflow_id: UUID, job_ids: Collection[int], kept: Kept) -> None:
        """Delete steps that are out of the graph."""
        ids = list(job_ids)
        await self.drop_waits(ids, keep_memos=False)
        await self._fetch("delete_waits", ids)
        await self._fetch("delete_jobs", workflow_id, ids)
        await self._fetch("forget_deleted_jobs", ids)
        await self._fetch("delete_nodes", ids)
        settled, failed, skipped = kept
        await self._fetch(
            "shrink_workflow", workflow_id, len(ids), len(ids) - settled, failed, skipped
        )

    async def find_dooming(self, chosen: Collection[int]) -> Doomed | None:
        """A chosen step that a failed one which is not chosen would cancel at once."""
        rows = await self._fetch("find_dooming", list(chosen))
        doomed = (row for row in rows if row["job_id"] not in chosen)
        row = next(doomed, None)
        return None if row is None else Doomed(row["step"], row["dependency"], row["state"])

    async def find_unmade(self, job_ids: Sequence[int]) -> list[str]:
        """Steps among these, at most ten, whose jobs were deleted and not kept."""
        return [row["name"] for row in await self._fetch("find_unmade", job_ids)]

    async def find_doomed_below(self, job_id: int) -> dict[int, list[list[int]]]:
        """The steps below a failed one that were cancelled or skipped and never begun, with what
        each has to be rid of: each failed dependency, alternatives together; of a skipped step one
        of its dependencies. Without what was cancelled by name since its last reset.
        """
        rows = await self._fetch("find_doomed_below", job_id)
        return {
            row["job_id"]: [
                *([dependency] for dependency in row["doomed_by"]),
                *([row["doomed_by_all"]] if row["doomed_by_all"] else ()),
            ]
            for row in rows
        }

    async def complete_job(self, job_id: int) -> None:
        await self._fetch("complete_job", job_id)

    async def count_nodes(self, workflow_id: UUID) -> int:
        (row,) = await self._fetch("count_nodes", workflow_id)
        return int(row["nodes"])

    async def read_names(self, job_ids: Sequence[int]) -> list[str]:
        return [row["name"] for row in await self._fetch("name_steps", job_ids)]

    async def remake_jobs(self, workflow_id: UUID, job_ids: Sequence[int]) -> None:
        await self._fetch("remake_jobs", workflow_id, job_ids)

    async def reset_nodes(
        self,
        workflow_id: UUID,
        job_ids: Sequence[int],
        again: Sequence[int],
        *,
        run: int,
        paused: bool,
    ) -> tuple[int, list[int], list[int]]:
        """Put nodes back to their beginning, and keep what that replaces as history of `run`; those
        that wait for them `again` count anew.
        Returns the run that goes on, the next one if the workflow had ended; the steps that wait
        for a condition or events only; and those of `again` that had waited for nothing.
        """
        kept = await self.keep_history(workflow_id, job_ids, run)
        await self._fetch("reset_nodes", job_ids)
        counted = await self._fetch("count_again", again, int(paused))
        opened = await self.count_pending(job_ids, paused=paused)
        (row,) = await self._fetch("restart_workflow", workflow_id, *kept)
        return row["run"], opened, [one["job_id"] for one in counted if one["ready"]]

    async def count_pending(self, job_ids: Sequence[int], *, paused: bool) -> list[int]:
        """Count what unsettled steps wait for; returns those that wait for a condition or events
        only.
        """
        rows = await self._fetch("count_pending", job_ids, int(paused))
        return [row["job_id"] for row in rows]

    async def drop_waits(self, job_ids: Sequence[int], *, keep_memos: bool) -> None:
        """Have steps wait anew. With `keep_memos`, what was noted inside them stays, and so do the
        waits inside them that are over.
        """
        await self._fetch("drop_waits", job_ids, keep_memos)
        if not keep_memos:
            await self._fetch("drop_memos", job_ids)

    async def replace_args(self, args: Mapping[int, str]) -> None:
        """Give jobs other arguments, JSON text by job id."""
        await self._fetch("replace_args", list(args), list(args.values()))

    async def reset_jobs(
        self, workflow_id: UUID, job_ids: Sequence[int], again: Sequence[int]
    ) -> list[str]:
        """Make the jobs of reset nodes new again, and put those to sleep that wait for them again;
        returns the queues that got available ones.
        """
        rows = await self._fetch("reset_jobs", job_ids, again, workflow_id, self._notify)
        return [row["queue"] for row in rows]
