"""Jobs that somebody moves by hand, or that come back, and what the gate says of them."""

from __future__ import annotations

from baton.performing.perform import Performer
from baton.store.jobs import requeue_jobs
from baton.words.config import EngineSettings
from baton.words.rows import ClaimedJob, Outcome
from baton.words.states import JobState
from races.arena import Arena


async def gate(ring: Arena, job: ClaimedJob) -> Outcome:
    return await Performer(ring.right, EngineSettings()).perform(job)


async def move(ring: Arena, job_id: int) -> ClaimedJob:
    """Somebody makes a job available that waits, and an engine claims it."""
    await ring.monitor.execute(
        "UPDATE baton.oban_jobs SET state = 'available' WHERE id = $1", job_id
    )
    (claimed,) = await ring.claim()
    return claimed


async def give_back(ring: Arena, job_id: int) -> ClaimedJob:
    """Its engine stops, and another one claims the job."""
    outcome = ring.ended(job_id, JobState.AVAILABLE, attempt_change=-1)
    await requeue_jobs(ring.right, [outcome], notify=False)
    (claimed,) = await ring.claim()
    return claimed
