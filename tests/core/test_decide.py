"""The gate's full truth table, built from the semantics and not from the code."""

from itertools import product
from typing import NamedTuple

import pytest

from baton.core.gate import (
    PERHAPS_COMPLETED,
    Cause,
    Decision,
    Dependency,
    DependencyRules,
    Verdict,
    decide,
)
from baton.words.states import JobState, StepState

ENDED = ("completed", "cancelled", "discarded")
WAITING = ("available", "suspended", "scheduled", "retryable", "executing")

FLAGS = [DependencyRules(*flags) for flags in product((False, True), repeat=3)]

# Per fact about a dependency: what it means by the rules of a dependent.
MEANING: dict[str, dict[DependencyRules, str]] = {
    "completed": dict.fromkeys(FLAGS, "satisfied"),
    **{state: dict.fromkeys(FLAGS, "waits") for state in WAITING},
    "cancelled": {r: "satisfied" if r.ignore_cancelled else "doomed" for r in FLAGS},
    "discarded": {r: "satisfied" if r.ignore_discarded else "doomed" for r in FLAGS},
    "skipped": {r: "satisfied" if r.run_when_skipped else "skipped" for r in FLAGS},
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
            StepState(self.settled) if self.settled else None,
            JobState(self.job) if self.job else None,
        )

    def cause(self, name: str) -> Cause:
        if self.fact == "gone":
            return Cause(name, StepState.CANCELLED, gone=True)
        return Cause(name, JobState(self.fact) if self.fact in WAITING else StepState(self.fact))


CASES = [Case(s, j) for s, j in product((None, *StepState), (None, *WAITING, *ENDED))]


def expected(cases: tuple[Case, ...], flags: DependencyRules) -> Decision:
    meanings = [MEANING[case.fact][flags] for case in cases]
    for meaning, verdict in (("doomed", Verdict.CANCEL), ("waits", Verdict.HOLD)):
        if meaning in meanings:
            at = meanings.index(meaning)
            return Decision(verdict, cases[at].cause("ab"[at]))
    if cases and set(meanings) == {"skipped"}:
        return Decision(Verdict.SKIP, cases[-1].cause("ab"[len(cases) - 1]))
    return Decision(Verdict.RUN)


def decided(cases: tuple[Case, ...], flags: DependencyRules) -> Decision:
    dependencies = [case.dependency(name) for case, name in zip(cases, "ab", strict=False)]
    return decide(dependencies, flags)


def test_the_table_is_whole() -> None:
    assert {case.fact for case in CASES} == {*JobState, *StepState, "gone"} == MEANING.keys()
    assert all(row.keys() == set(FLAGS) for row in MEANING.values())


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("case", CASES)
def test_one_dependency(case: Case, flags: DependencyRules) -> None:
    assert decided((case,), flags) == expected((case,), flags)


@pytest.mark.parametrize("flags", FLAGS)
def test_two_dependencies(flags: DependencyRules) -> None:
    for cases in product(CASES, repeat=2):
        assert decided(cases, flags) == expected(cases, flags), cases


@pytest.mark.parametrize("flags", FLAGS)
def test_no_dependencies_run(flags: DependencyRules) -> None:
    assert decided((), flags) == Decision(Verdict.RUN)


def test_reasons_name_the_dependency_and_its_state() -> None:
    reasons = {
        fact: decide([case.dependency("a")], DependencyRules()).reason
        for case in CASES
        if (fact := case.fact)
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
        "skipped": "all its dependencies were skipped, the last of them 'a'",
        "gone": "dependency 'a' vanished: its job was deleted before it settled; "
        + PERHAPS_COMPLETED,
    }


def test_a_pruned_job_of_a_completed_node_is_satisfied() -> None:
    found = [Dependency("a", StepState.COMPLETED, None)]
    assert decide(found, DependencyRules()).verdict is Verdict.RUN
