"""Why a step is waiting: the typed answer and its sentence, from what the database says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from baton.core.durations import spoken
from baton.core.gate import (
    PERHAPS_COMPLETED,
    Decision,
    Dependency,
    DependencyRules,
    Verdict,
    decide,
    holding,
)
from baton.words.insights import EngineRow, Reason, WaitsFor, Why
from baton.words.states import TERMINAL_STATES, JobState, StepState

MOST_COUNTED = 10_000
"""Jobs of a queue are counted up to here."""

_MOST_NAMED = 5
_DECIDED = {StepState.CANCELLED: Verdict.CANCEL, StepState.SKIPPED: Verdict.SKIP}
_ERROR_SHOWN = 200


@dataclass(frozen=True, slots=True)
class StepWait:
    """What a step waits for: `need` of the named events. A durable sleep names none."""

    names: tuple[str, ...]
    need: int
    received: tuple[str, ...]
    since: datetime
    deadline: datetime | None
    prompt: str | None


@dataclass(frozen=True, slots=True)
class StepFacts:
    """One step as the database has it at one moment, `now`.

    `host` is who claimed it last, `by_baton` whether that was a Baton engine, `engine` that one's
    row. `ahead` and `executing` count the jobs of its queue while it is available. Of the live
    engines `serving` serve its queue, `room` jobs at once together, and `paused` have paused it.
    `paused_since` is when its workflow was paused, if it is.
    """

    workflow_id: UUID
    step: str
    job_id: int
    now: datetime
    settled: StepState | None
    job_state: JobState | None
    queue: str | None
    attempt: int
    max_attempts: int
    scheduled_at: datetime | None
    attempted_at: datetime | None
    finished_at: datetime | None
    error: str | None
    host: str | None
    by_baton: bool
    engine: EngineRow | None
    ahead: int
    executing: int
    live_engines: int
    serving: int = 0
    paused: int = 0
    room: int = 0
    wait: StepWait | None = None
    paused_since: datetime | None = None
    pause_reason: str | None = None


def explain(
    facts: StepFacts,
    dependencies: Sequence[Dependency],
    rules: DependencyRules,
    unmet: str | None = None,
) -> Why:
    """Why the step is where it is. What its dependencies, and its condition that is not met, mean
    for it is the gate's own answer.
    """
    decision = decide(dependencies, rules, unmet)
    if facts.settled is not None:
        return _settled(facts, facts.settled, decision)
    if facts.job_state is None:
        return _why(
            facts, Reason.GONE, f"has not settled, and its job was deleted; {PERHAPS_COMPLETED}"
        )
    if facts.job_state in TERMINAL_STATES:
        return _ended(facts, facts.job_state)
    if facts.job_state is JobState.EXECUTING:
        return _executing(facts)
    if facts.job_state not in tuple(JobState):
        says = f"is {facts.job_state}, a state that Baton does not know; it goes on by other means"
        return _why(facts, Reason.UNKNOWN_STATE, says)
    if decision.verdict is Verdict.CANCEL:
        return _why(facts, Reason.DOOMED, f"is about to be cancelled: {decision.reason}")
    if decision.verdict is Verdict.HOLD:
        held = holding(dependencies, rules)
        return _besides_paused(facts, _held(facts, held, len(dependencies)))
    if decision.verdict is Verdict.SKIP:
        return _why(facts, Reason.DOOMED, f"is about to be skipped: {decision.reason}")
    if facts.job_state is JobState.SUSPENDED and facts.wait is not None:
        return _besides_paused(facts, _waiting(facts, facts.wait))
    if facts.paused_since is not None:
        return _why(facts, Reason.PAUSED, _paused(facts), since=facts.paused_since)
    if facts.job_state is JobState.SUSPENDED:
        return _unreleased(facts, dependencies)
    if facts.job_state is JobState.AVAILABLE:
        return _available(facts)
    return _timed(facts)


def _why(facts: StepFacts, reason: Reason, says: str, **fields: Any) -> Why:
    return Why(
        facts.workflow_id,
        facts.step,
        facts.job_id,
        reason,
        f"step {facts.step!r} {says}",
        facts.job_state,
        facts.settled,
        facts.queue,
        **fields,
    )


def _settled(facts: StepFacts, state: StepState, decision: Decision) -> Why:
    again = facts.job_state is not None and facts.job_state not in TERMINAL_STATES
    # Of a job that somebody moved on, end and error are of another attempt than the settled one.
    finished_at = None if again else facts.finished_at
    error = None if again or state is StepState.COMPLETED else facts.error
    says = f"settled as {state}" + (f" at {_time(finished_at)}" if finished_at else "")
    if error:
        says += f": {_shown(error)}"
    elif state is not StepState.COMPLETED and decision.verdict is _DECIDED.get(state):
        says += f": {decision.reason}"
    if again:
        says += f"; its job was moved by hand and is {facts.job_state}, the step stays settled"
    return _why(facts, Reason.SETTLED, says, since=finished_at, error=error)


def _ended(facts: StepFacts, state: JobState) -> Why:
    says = f"has not settled, though its job is {state}: it was ended by other means than Baton's"
    return _why(facts, Reason.ENDED, says, since=facts.finished_at, error=facts.error)


def _executing(facts: StepFacts) -> Why:
    since, engine = facts.attempted_at, facts.engine
    says = "is executing" if since is None else f"is executing since {_time(since)}"
    if not facts.by_baton:
        host = facts.host or "an unknown host"
        return _why(facts, Reason.FOREIGN, f"{says} on {host}, which has no heartbeat", since=since)
    if engine is None:
        says += f" by an engine on {facts.host or 'an unknown host'} that is not known any more"
        return _why(facts, Reason.ORPHANED, f"{says}: a live engine rescues it", since=since)
    says += f" by engine {engine.name!r} on {engine.node}"
    if engine.live:
        says += f", alive {spoken(engine.silent_for)} ago"
        return _why(facts, Reason.EXECUTING, says, since=since, engine=engine)
    says += f", silent for {spoken(engine.silent_for)}: a live engine rescues it"
    return _why(facts, Reason.ORPHANED, says, since=since, engine=engine)


def _held(facts: StepFacts, held: Sequence[Dependency], total: int) -> Why:
    needed = [d for d in held if not d.alternative]
    alternatives = [d for d in held if d.alternative]
    says = f"waits for dependencies ({len(held)} of {total}): {_named(needed)}"
    if alternatives:
        says = f"{says}, and for" if needed else "waits for"
        says += f" one of its alternatives: {_named(alternatives)}"
    if facts.job_state is not JobState.SUSPENDED:
        says += f"; its job was moved by hand and is {facts.job_state}, the gate will hold it"
    return _why(facts, Reason.DEPENDENCIES, says, dependencies=_waits_for(held))


def _waits_for(held: Sequence[Dependency]) -> tuple[WaitsFor, ...]:
    # Of one without a job the gate says that it dooms the step.
    return tuple(WaitsFor(d.name, d.job_state) for d in held if d.job_state is not None)


def _named(held: Sequence[Dependency]) -> str:
    named = [f"{d.name!r} is {d.job_state}" for d in held[:_MOST_NAMED]]
    if len(held) > _MOST_NAMED:
        named.append(f"{len(held) - _MOST_NAMED} more")
    return ", ".join(named)


def _waiting(facts: StepFacts, wait: StepWait) -> Why:
    missing = tuple(name for name in wait.names if name not in wait.received)
    if not wait.names:
        says = f"sleeps until {_time(wait.deadline)}"
    else:
        named = ", ".join(map(repr, missing[:_MOST_NAMED]))
        more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
        says = f"waits for {wait.need - len(wait.received)} of the events {named}{more}"
        says += f", since {_time(wait.since)}"
        if wait.deadline is not None:
            says += f", until {_time(wait.deadline)}"
    if wait.prompt:
        says += f": {_shown(wait.prompt)}"
    return _why(facts, Reason.EVENTS, says, since=wait.since, until=wait.deadline, events=missing)


def _paused(facts: StepFacts) -> str:
    because = f" ({_shown(facts.pause_reason)})" if facts.pause_reason else ""
    return (
        f"does not go on, for its workflow is paused since {_time(facts.paused_since)}{because}: "
        "resume() it"
    )


def _besides_paused(facts: StepFacts, why: Why) -> Why:
    if facts.paused_since is None:
        return why
    return replace(why, sentence=f"{why.sentence}; besides, it {_paused(facts)}")


def _unreleased(facts: StepFacts, dependencies: Sequence[Dependency]) -> Why:
    says = "is suspended, though no dependency holds it"
    ended = [repr(d.name) for d in dependencies if d.settled is None]
    if ended:
        says += f"; not settled, though their jobs have ended: {', '.join(ended[:_MOST_NAMED])}"
    return _why(facts, Reason.UNRELEASED, says)


def _available(facts: StepFacts) -> Why:
    since = facts.scheduled_at
    known: dict[str, Any] = {
        "since": since,
        "ahead": facts.ahead,
        "executing": facts.executing,
        "live_engines": facts.live_engines,
        "serving_engines": facts.serving,
    }
    if facts.attempt >= facts.max_attempts:
        says = f"is available but has used its {facts.max_attempts} attempts: nobody claims it"
        return _why(facts, Reason.EXHAUSTED, says, **known)
    says = f"may run in queue {facts.queue!r}" + (f" since {_time(since)}" if since else "")
    if not facts.live_engines:
        return _why(facts, Reason.NO_ENGINE, f"{says}, but no engine is alive", **known)
    if not facts.serving and facts.paused:
        says += f", but the live engines that serve that queue ({facts.paused}) have paused it"
        return _why(facts, Reason.NO_ENGINE, says, **known)
    if not facts.serving:
        says += f", but none of the live engines ({facts.live_engines}) serves that queue"
        return _why(facts, Reason.NO_ENGINE, says, **known)
    says += (
        f"; jobs before it: {_count(facts.ahead)}, executing in that queue: "
        f"{_count(facts.executing)}, live engines that serve it: {facts.serving}, for {facts.room} "
        f"{'job' if facts.room == 1 else 'jobs'} at once"
    )
    return _why(facts, Reason.QUEUED, says, **known)


def _timed(facts: StepFacts) -> Why:
    until = facts.scheduled_at
    wait = 0.0 if until is None else (until - facts.now).total_seconds()
    error = None
    reason = Reason.SCHEDULED
    says = "waits for its time"
    if facts.job_state is JobState.RETRYABLE:
        reason, error = Reason.RETRYABLE, facts.error
        says = f"failed on attempt {facts.attempt} of {facts.max_attempts}, waits to be tried again"
    if wait > 0:
        says += f": {_time(until)}, in {spoken(wait)}"
    else:
        says += f", due for {spoken(-wait)}: "
        says += "a live engine makes it available" if facts.live_engines else "no engine is alive"
    if error:
        says += f"; its error: {_shown(error)}"
    return _why(facts, reason, says, until=until, error=error, live_engines=facts.live_engines)


def _time(at: datetime | None) -> str:
    return "an unknown time" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _count(jobs: int) -> str:
    return f"{jobs} or more" if jobs >= MOST_COUNTED else str(jobs)


def _shown(error: str) -> str:
    line = error.partition("\n")[0]
    return line if len(line) <= _ERROR_SHOWN else f"{line[:_ERROR_SHOWN]}…"
