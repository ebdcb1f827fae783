"""Workers as classes and as functions: what a spec makes of either, and of their options."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from pydantic import BaseModel, Field, model_validator

from baton import Cancel, Step, Worker, worker
from baton.errors import BatonError, InvalidArgsError, NotStorableError, WorkerError
from baton.words.states import StepState
from baton.workers import registry
from baton.workers.args import NewJob
from baton.workers.class_worker import job_of
from baton.workers.registry import WorkerSpec, held_spec

STEP = cast("Any", object())


class Address(BaseModel):
    street: str
    numbers: tuple[int, ...] = ()


class FetchToken(
    Worker, queue="io", max_attempts=5, priority=2, tags=["eu"], timeout=1.5, backoff=3
):
    api_key: str
    when: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    address: Address | None = None

    async def perform(self, step: Step) -> dict[str, str]:
        return {"token": f"token-for-{self.api_key}"}


@worker(
    queue="io", max_attempts=5, priority=2, tags=["eu"], timeout=timedelta(seconds=1.5), backoff=3
)
async def fetch_token(
    step: Step,
    *,
    api_key: str,
    when: datetime = datetime(2026, 1, 1, tzinfo=UTC),
    address: Address | None = None,
) -> dict[str, str]:
    return {"token": f"token-for-{api_key}"}


class Bare(Worker):
    async def perform(self, step: Step) -> None:
        return None


def spec(name: str) -> WorkerSpec:
    found = registry.find(f"{__name__}.{name}")
    assert found is not None
    return found


def new_class_job(**args: Any) -> NewJob:
    return job_of(FetchToken(**args))


FORMS: list[Any] = [
    pytest.param(spec("FetchToken"), new_class_job, id="class"),
    pytest.param(spec("fetch_token"), fetch_token.new, id="function"),
]


@pytest.mark.parametrize(("found", "new"), FORMS)
class TestBothForms:
    async def test_the_arguments_come_back_as_they_were_given(
        self, found: WorkerSpec, new: Callable[..., NewJob]
    ) -> None:
        when = datetime(2026, 5, 4, 3, 2, 1, 7, tzinfo=UTC)
        address = Address(street='Straße …1… \\ "x"', numbers=(1, 2))
        job = new(api_key="xyz", when=when, address=address)
        assert held_spec(job) is found
        assert found.args.model_validate_json(job.args).model_dump() == {
            "api_key": "xyz",
            "when": when,
            "address": address.model_dump(),
        }
        built = found.build(job.args)
        assert found.is_async
        assert await built.perform(STEP) == {"token": "token-for-xyz"}

    def test_the_options_are_the_defaults_of_its_jobs(
        self, found: WorkerSpec, new: Callable[..., NewJob]
    ) -> None:
        assert found.defaults == {"queue": "io", "max_attempts": 5, "priority": 2, "tags": ("eu",)}
        built = found.build(new(api_key="x").args)
        assert (built.timeout(), built.backoff(1), built.backoff(9)) == (1.5, 3, 3)

    @pytest.mark.parametrize(
        ("args", "problem"),
        [
            ({}, "api_key: Field required"),
            ({"api_key": 1}, "api_key: Input should be a valid string"),
            ({"api_key": "x", "extra": 1}, "extra: Extra inputs are not permitted"),
            ({"api_key": "x", "address": {"street": 1}}, "address.street: Input should be"),
        ],
    )
    def test_invalid_arguments_are_told_when_built(
        self, found: WorkerSpec, new: Callable[..., NewJob], args: dict[str, Any], problem: str
    ) -> None:
        with pytest.raises(InvalidArgsError) as caught:
            new(**args)
        assert caught.value.worker == found.name
        assert caught.value.given == args
        assert caught.value.problems[0].startswith(problem)

    @pytest.mark.parametrize(
        "args", ["{}", "[]", "null", '{"api_key": 1}', '{"api_key": "x", "b": 1}']
    )
    def test_invalid_stored_arguments_are_told_when_decoded(
        self, found: WorkerSpec, new: Callable[..., NewJob], args: str
    ) -> None:
        with pytest.raises(InvalidArgsError) as caught:
            found.build(args)
        assert caught.value.worker == found.name


@pytest.mark.parametrize("value", ["a\0b", "\ud800", "x" * 1_100_000])
@pytest.mark.parametrize(("found", "new"), FORMS)
def test_what_the_database_cannot_hold_is_refused(
    found: WorkerSpec, new: Callable[..., NewJob], value: str
) -> None:
    with pytest.raises(BatonError) as caught:
        new(api_key=value)
    assert isinstance(caught.value, NotStorableError | InvalidArgsError)


def test_a_worker_without_arguments() -> None:
    assert job_of(Bare()).args == "{}"
    assert isinstance(spec("Bare").build("{}"), Bare)
    with pytest.raises(InvalidArgsError):
        Bare(surplus=1)


def test_aliases_are_accepted_and_field_names_stored() -> None:
    class Aliased(Worker):
        api_key: str = Field(alias="apiKey")

        async def perform(self, step: Step) -> None: ...

    job = job_of(Aliased(apiKey="x"))
    assert job.args == '{"api_key":"x"}'
    assert cast("Any", held_spec(job).build(job.args)).api_key == "x"


def test_errors_of_a_model_validator_are_ours_too() -> None:
    class Ordered(Worker):
        low: int
        high: int

        @model_validator(mode="after")
        def check(self) -> Ordered:
            if self.low > self.high:
                raise ValueError("low is above high")
            return self

        async def perform(self, step: Step) -> None: ...

    with pytest.raises(InvalidArgsError, match="low is above high"):
        Ordered(low=2, high=1)


class TestMethods:
    def test_timeout_and_backoff_may_depend_on_the_arguments(self) -> None:
        class Patient(Worker):
            n: int

            def timeout(self) -> float:
                return self.n * 2

            def backoff(self, attempt: int) -> float:
                return float(self.n**attempt)

            async def perform(self, step: Step) -> None: ...

        built = held_spec(job_of(Patient(n=3))).build('{"n":3}')
        assert (built.timeout(), built.backoff(2)) == (6, 9)

    def test_a_backoff_option_may_be_a_function(self) -> None:
        class Linear(Worker, backoff=lambda attempt: attempt * 10):
            async def perform(self, step: Step) -> None: ...

        @worker(backoff=lambda attempt: timedelta(minutes=attempt))
        async def spanned(step: Step) -> None: ...

        assert held_spec(spanned).build("{}").backoff(2) == 120
        assert Linear().backoff(4) == 40
        assert Bare().backoff(4) is None
        assert Bare().timeout() is None

    async def test_hooks_are_known_by_the_state_of_the_dependency(self) -> None:
        heard: list[tuple[str, str]] = []

        class Hooked(Worker):
            async def on_dep_cancelled(self, step: Step, dependency: str) -> None:
                heard.append(("class", dependency))

            async def perform(self, step: Step) -> None: ...

        async def tell(step: Step, dependency: str) -> None:
            heard.append(("function", dependency))

        @worker(on_dep_discarded=tell)
        async def hooked(step: Step) -> None: ...

        in_class = held_spec(job_of(Hooked()))
        in_function = held_spec(hooked)
        assert in_class.hook(StepState.DISCARDED) is None
        assert in_function.hook(StepState.CANCELLED) is None
        for found, state in ((in_class, StepState.CANCELLED), (in_function, StepState.DISCARDED)):
            hook = found.hook(state)
            assert hook is not None
            await hook(found.build("{}"), STEP, "before")
        assert heard == [("class", "before"), ("function", "before")]

    def test_a_base_passes_on_its_options_but_not_its_name(self) -> None:
        class Base(Worker, queue="io", timeout=5, name="a-base-cannot-be-named-twice"):
            async def perform(self, step: Step) -> None: ...

        class Child(Base, timeout=None, priority=1): ...

        found = held_spec(job_of(Child()))
        assert found.name.endswith("Child")
        assert found.defaults == {"queue": "io", "priority": 1}
        assert Child().timeout() is None
        assert Base().timeout() == 5

    def test_a_base_without_perform_cannot_be_built(self) -> None:
        class Abstract(Worker, queue="io"):
            key: str

        assert registry.find(f"{__name__}.{Abstract.__qualname__}") is None
        for build in (lambda: Abstract(key="x"), Worker):
            with pytest.raises(WorkerError, match="has no perform method"):
                build()

        class Concrete(Abstract):
            async def perform(self, step: Step) -> Cancel:
                return Cancel(self.key)

        assert held_spec(job_of(Concrete(key="x"))).defaults == {"queue": "io"}
