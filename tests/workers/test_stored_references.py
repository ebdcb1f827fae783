"""What is stored of arguments with references, and of data that looks like them."""

from __future__ import annotations

import json
from dataclasses import field as dataclass_field
from typing import Any

import pytest
from hypothesis import given
from pydantic import BaseModel, Field, SecretStr
from pydantic.dataclasses import dataclass as pydantic_dataclass

from baton import Baton, Step, Worker, worker
from baton.core.references import filled
from baton.errors import NotStorableError
from baton.workers.args import decode_args
from baton.workers.registry import held_spec
from support.signed_keys import plain


class Page(BaseModel):
    words: list[str] = []


@worker(name="stored.fetch")
async def fetch(step: Step) -> Page:
    return Page()


@worker(name="stored.take")
async def take(step: Step, *, anything: Any = None) -> None: ...


@pydantic_dataclass
class Area:
    side: int
    size: int = dataclass_field(init=False)

    def __post_init__(self) -> None:
        self.size = self.side**2


class Hidden(Worker, name="stored.hidden"):
    page: Page
    secret: SecretStr = SecretStr("")
    left_out: int = Field(default=1, exclude=True)
    area: Area | None = None

    async def perform(self, step: Step) -> None: ...


def test_what_would_change_beside_a_reference_is_refused() -> None:
    flow = Baton()
    page = flow.step("a", fetch.new()).output
    flow.step("b", Hidden(page=page, area=Area(2)))
    args = json.loads(flow._draft.steps["b"].args)
    assert args["area"] == {"side": 2}
    text = filled(flow._draft.steps["b"].args, lambda place: {"words": []})
    assert decode_args("stored.hidden", Hidden, text).area == Area(2)
    for slip, problem in (({"left_out": 2}, "left_out"), ({"secret": "x"}, "secret")):
        wrong: Any = slip
        with pytest.raises(NotStorableError, match=problem):
            flow.step("c", Hidden(page=page, **wrong))


def test_what_contains_itself_is_refused() -> None:
    """Also where it would be looked through without end."""
    a = Baton().step("a", fetch.new())
    loop: list[Any] = []
    loop += [loop, loop, {"x": loop}]
    with pytest.raises(NotStorableError):
        take.new(anything=loop)
    shared: list[Any] = [object()]
    for _ in range(100):
        shared = [shared, shared]
    with pytest.raises(NotStorableError):
        take.new(anything=shared)
    loop.append(a.output)
    with pytest.raises(NotStorableError, match="or contains itself"):
        take.new(anything=loop)
    with pytest.raises(NotStorableError, match="or contains itself"):
        take.new(anything=nested([a.output], 128))
    assert take.new(anything=nested([a.output], 100)).args.count("$result") == 1


def nested(value: Any, levels: int) -> Any:
    for _ in range(levels):
        value = [value]
    return value


@given(plain)
def test_any_json_is_an_argument(value: Any) -> None:
    job = take.new(anything=value)
    text = filled(job.args, lambda place: pytest.fail(f"{place} was taken for a reference"))
    assert json.loads(text)["anything"] == value
    assert decode_args("stored.take", held_spec(job).args, text).__dict__["anything"] == value
