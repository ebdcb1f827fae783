"""An argument that is no option is refused as an argument; an option is one of its kinds."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from baton import Baton, Engine, Plugin, Step, insert_all, subscribe, worker
from baton.errors import BatonError, InvalidArgumentError, InvalidOptionError
from baton.runtime.queues import Queues
from baton.store import ambient
from baton.telemetry import seam


@worker(name="arguments.works")
async def works(step: Step) -> None: ...


ARGUMENTS: dict[str, Callable[[], Any]] = {
    "workflow_id": lambda: Baton("nobody"),
    "job": lambda: Baton().add("a", works),  # type: ignore[arg-type]
    "engine": lambda: ambient.current(5),  # type: ignore[arg-type]
    "queue": lambda: Queues({"default": 1}, 1)["mail"],
}


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_an_argument_is_named_with_what_was_given(argument: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        ARGUMENTS[argument]()
    error = caught.value
    assert type(error) is InvalidArgumentError
    assert error.argument == argument
    assert str(error).startswith(f"{argument}=")
    assert error.expected in str(error)
    restored = pickle.loads(pickle.dumps(InvalidArgumentError("n", 1, "a text")))
    assert vars(restored) == vars(InvalidArgumentError("n", 1, "a text"))


async def test_what_is_no_list_of_workflows_is_named() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await insert_all(5)  # type: ignore[arg-type]
    assert caught.value.argument == "workflows"


def test_an_option_is_an_argument_of_a_kind() -> None:
    assert InvalidOptionError.__mro__[1:3] == (InvalidArgumentError, BatonError)
    with pytest.raises(InvalidOptionError) as caught:
        Engine("postgresql://", pool_size=0)
    error = caught.value
    assert (error.option, error.argument, error.given) == ("pool_size", "pool_size", 0)


def test_a_name_given_as_an_id_is_told_where_names_go() -> None:
    with pytest.raises(InvalidArgumentError, match=r"as Baton\(workflow_name='article'\)$"):
        Baton("article")


@pytest.mark.parametrize(
    ("call", "start"),
    [
        (lambda **options: Engine("postgresql://", **options), "an option of Engine"),
        (lambda **options: Baton().add("a", works.new(), **options), "an option of a step"),
        (lambda **options: worker(**options)(lambda step: None), "an option of a worker"),
        (lambda **options: Baton().wait("a", any_of=["b"], **options), "an option of a wait step"),
    ],
)
def test_an_unknown_option_is_named_without_its_value(call: Any, start: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        call(timeot="w0rd", pluginss="w0rd") if "Engine" not in start else call(plugin="w0rd")
    assert start in str(caught.value)
    assert "; did you mean '" in str(caught.value)
    assert " The options are: " in str(caught.value)
    assert "w0rd" not in str(caught.value)


def test_an_option_that_is_like_no_other_is_refused_too() -> None:
    wrong: Any = {"colour": "red"}
    with pytest.raises(InvalidOptionError, match=r"an option of Engine\. The options are: schema,"):
        Engine("postgresql://", **wrong)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeout": -1}, "wait step 'approval': timeout=-1: expected a number of seconds"),
        (
            {"payload_type": "Decision"},
            "wait step 'approval': payload_type='Decision': expected a type, not its name",
        ),
        (
            {"payload_type": {"ok": "Decision"}},
            "wait step 'approval': payload_type='Decision': expected a type, not its name",
        ),
        (
            {"on_timeout": "explode"},
            "wait step 'approval': on_timeout='explode': expected",
        ),
    ],
)
def test_a_wrong_option_names_its_wait_step(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidOptionError) as caught:
        Baton().wait("approval", any_of=["ok"], **options)
    assert str(caught.value).startswith(said)
    assert caught.value.option == next(iter(options))


def test_an_age_of_a_state_that_does_not_end() -> None:
    with pytest.raises(
        InvalidOptionError,
        match="'failed' is not a state that ends: cancelled, completed, discarded",
    ):
        Plugin(job_max_age={"failed": 3})


class Later:
    async def __call__(self, event: Any) -> None: ...


async def later(event: Any) -> None: ...


async def stream(event: Any) -> Any:
    yield event


@pytest.mark.parametrize(
    "subscriber", ["x", later, stream, Later(), partial(later), lambda: None, lambda a, b: None]
)
def test_a_subscriber_is_a_plain_function_of_one_event(subscriber: Any) -> None:
    before = seam._subscribers
    with pytest.raises(InvalidArgumentError, match="a plain function of one event, called in the"):
        subscribe(subscriber)
    assert seam._subscribers == before


def test_what_can_be_called_with_an_event_subscribes() -> None:
    seen: list[Any] = []
    goods: tuple[Any, ...] = (seen.append, print, lambda event, more=1: None, partial(print, 1))
    for good in goods:
        subscribe(good)()
