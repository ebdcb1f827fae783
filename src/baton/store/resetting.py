"""Typed calls that put settled steps back to their beginning, in one transaction under the
workflow's lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


class ResetNodes(NamedTuple):
    """Job ids: `ready` wait for nothing, `armed` are wait steps that wait for events only, `again`
    had not settled and wait for one of the reset steps once more. `settled` and `failed` count what
    the reset steps were before.
    """

    ready: Sequence[int]
    armed: Sequence[int]
    again: Sequence[int]
    settled: int
    failed: int


class Resetting(Settlement):
    """A settlement that can also undo."""

    async def choose(self, workflow_id: UUID, mode: str, names: Sequence[str]) -> list[int]:
        """The steps that a retry in this mode resets, ascending."""
        rows = await self._fetch("choose_resets", workflow_id, mode, names)
        return sorted(row["job_id"] for row in rows)

    async def read_named(self, workflow_id: UUID, names: Sequence[str]) -> dict[str, NamedStep]:
        rows = await self._fetch("read_retry_args", workflow_id, names)
        return {row["name"]: NamedStep(row["name"], row["job_id"], row["worker"]) for row in rows}

    async def find_waiting_again(self, job_ids: Sequence[int]) -> list[int]:
        rows = await self._fetch("find_waiting_again", job_ids)
        return [row["job_id"] for row in rows]

    async def find_dooming(self, job_ids: Sequence[int]) -> Doomed | None:
        """A step among these that a failed one which is not among them would cancel."""
        rows = await self._fetch("find_dooming", job_ids)
        return Doomed(*rows[0]) if rows else None

    async def find_unmade(self, job_ids: Sequence[int]) -> list[str]:
        """Steps among these, at most ten, whose jobs were deleted and not kept."""
        return [row["name"] for row in await self._fetch("find_unmade", job_ids)]

    async def read_names(self, job_ids: Sequence[int]) -> list[str]:
        return [row["name"] for row in await self._fetch("name_steps", job_ids)]

    async def remake_jobs(self, workflow_id: UUID, job_ids: Sequence[int]) -> None:
        await self._fetch("remake_jobs", workflow_id, job_ids)

    async def reset_nodes(
        self, workflow_id: UUID, job_ids: Sequence[int], *, run: int, paused: bool
    ) -> ResetNodes:
        """Put nodes back to their beginning, and keep what that replaces as history of `run`."""
        (row,) = await self._fetch("reset_nodes", workflow_id, job_ids, run, int(paused))
        return ResetNodes(*row)

    async def drop_waits(
        self, workflow_id: UUID, job_ids: Sequence[int], *, keep_memos: bool
    ) -> None:
        """Have steps wait anew. With `keep_memos`, what was noted inside them stays, and so do the
        waits inside them that are over.
        """
        await self._fetch("drop_waits", job_ids, workflow_id, keep_memos)
        if not keep_memos:
            await self._fetch("drop_memos", job_ids)

    async def replace_args(self, args: Mapping[int, str]) -> None:
        """Give jobs other arguments, JSON text by job id."""
        await self._fetch("replace_args", list(args), list(args.values()))

    async def reset_jobs(
        self, workflow_id: UUID, job_ids: Sequence[int], nodes: ResetNodes
    ) -> list[str]:
        """Make the jobs of reset nodes new again; returns the queues that got available ones."""
        rows = await self._fetch(
            "reset_jobs", job_ids, nodes.ready, nodes.again, workflow_id, self._notify
        )
        return [row["queue"] for row in rows]

    async def restart(self, workflow_id: UUID, nodes: ResetNodes) -> int:
        """Count reset steps as outstanding again; returns the workflow's run, the next one if it
        had ended.
        """
        (row,) = await self._fetch("restart_workflow", workflow_id, nodes.settled, nodes.failed)
        return int(row["run"])
