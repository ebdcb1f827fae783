"""An argument that is no option is refused as an argument; an option is one of its kinds."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from baton import Baton, Engine, Step, insert_all, worker
from baton.errors import BatonError, InvalidArgumentError, InvalidOptionError
from baton.runtime.queues import Queues
from baton.store import ambient


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
