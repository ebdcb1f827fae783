"""The gate's full truth table, built from the semantics and not from the code."""

from itertools import product
from typing import NamedTuple

import pytest

from baton.core.gate import PERHAPS_COMPLETED, Cause, Decision, Dependency, Verdict, decide
from baton.words.states import JobState

ENDED = ("completed", "cancelled", "discarded")
WAITING = ("available", "suspended", "scheduled", "retryable", "executing")

FLAGS = [(False, False), (False, True), (True, False), (True, True)]

# Per fact about a dependency: what it means by (ignore_cancelled, ignore_discarded) of a dependent.
MEANING: dict[str, dict[tuple[bool, bool], str]] = {
    "completed": dict.fromkeys(FLAGS, "satisfied"),
    **{state: dict.fromkeys(FLAGS, "waits") for state in WAITING},
    "cancelled": {
        (False, False): "doomed",
        (False, True): "doomed",
        (True, False): "satisfied",
        (True, True): "satisfied",
    },
    "discarded": {
        (False, False): "doomed",
        (True, False): "doomed",
        (False, True): "satisfied",
        (True, True): "satisfied",
    },
    "gone": dict.fromkeys(FLAGS, "doomed"),
}


class Case(NamedTuple):
    settled: str | None
    job: str | None

    @property
    def fact(self) -> str:
        return self.settled or self.job or "gone"

    def dependency(self, name: str) -> Dependency:
        return Dependency(
            name,
            JobState(self.settled) if self.settled else None,
            JobState(self.job) if self.job else None,
        )

    def cause(self, name: str) -> Cause:
        if self.fact == "gone":
            return Cause(name, JobState.CANCELLED, gone=True)
        return Cause(name, JobState(self.fact))


CASES = [Case(s, j) for s, j in product((None, *ENDED), (None, *WAITING, *ENDED))]


def expected(cases: tuple[Case, ...], flags: tuple[bool, bool]) -> Decision:
    meanings = [MEANING[case.fact][flags] for case in cases]
    for meaning, verdict in (("doomed", Verdict.CANCEL), ("waits", Verdict.HOLD)):
        if meaning in meanings:
            at = meanings.index(meaning)
            return Decision(verdict, cases[at].cause("ab"[at]))
    return Decision(Verdict.RUN)


def decided(cases: tuple[Case, ...], flags: tuple[bool, bool]) -> Decision:
    dependencies = [case.dependency(name) for case, name in zip(cases, "ab", strict=False)]
    return decide(dependencies, ignore_cancelled=flags[0], ignore_discarded=flags[1])


def test_the_table_is_whole() -> None:
    assert {case.fact for case in CASES} == {*JobState, "gone"} == MEANING.keys()
    assert all(row.keys() == set(FLAGS) for row in MEANING.values())


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("case", CASES)
def test_one_dependency(case: Case, flags: tuple[bool, bool]) -> None:
    assert decided((case,), flags) == expected((case,), flags)


@pytest.mark.parametrize("flags", FLAGS)
def test_two_dependencies(flags: tuple[bool, bool]) -> None:
    for cases in product(CASES, repeat=2):
        assert decided(cases, flags) == expected(cases, flags), cases


@pytest.mark.parametrize("flags", FLAGS)
def test_no_dependencies_run(flags: tuple[bool, bool]) -> None:
    assert decided((), flags) == Decision(Verdict.RUN)


def test_reasons_name_the_dependency_and_its_state() -> None:
    reasons = {
        fact: decide(
            [Case(None, None if fact == "gone" else fact).dependency("a")], False, False
        ).reason
        for fact in MEANING
    }
    assert reasons == {
        "completed": "",
        "available": "dependency 'a' is available",
        "suspended": "dependency 'a' is suspended",
        "scheduled": "dependency 'a' is scheduled",
        "retryable": "dependency 'a' is retryable",
        "executing": "dependency 'a' is executing",
        "cancelled": "dependency 'a' was cancelled",
        "discarded": "dependency 'a' was discarded",
        "gone": "dependency 'a' vanished: its job was deleted before it settled; "
        + PERHAPS_COMPLETED,
    }


def test_a_pruned_job_of_a_completed_node_is_satisfied() -> None:
    assert decide([Dependency("a", JobState.COMPLETED, None)], False, False).verdict is Verdict.RUN
