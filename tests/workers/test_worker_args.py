"""Arguments of jobs come back as they were given, or are refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, SecretStr, field_validator

from baton import Baton, Step, Worker
from baton.errors import NotStorableError

if TYPE_CHECKING:
    pass


class Secretive(Worker):
    password: SecretStr

    async def perform(self, step: Step) -> None: ...


class Rewriting(Worker):
    text: str

    @field_validator("text")
    @classmethod
    def grow(cls, text: str) -> str:
        return text + "!"

    async def perform(self, step: Step) -> None: ...


class Loose(Worker):
    value: Any

    async def perform(self, step: Step) -> None: ...


class Shape(BaseModel):
    pass


class Circle(Shape):
    radius: float


class Draw(Worker):
    shape: Shape

    async def perform(self, step: Step) -> None: ...


@pytest.mark.parametrize(
    ("built", "field"),
    [
        (lambda: Secretive(password=SecretStr("x")), "password"),
        (lambda: Rewriting(text="x"), "text"),
        (lambda: Loose(value=(1, 2)), "value"),
        (lambda: Loose(value=math.nan), ""),
        (lambda: Loose(value=math.inf), ""),
        (lambda: Loose(value=object()), ""),
        (lambda: Draw(shape=Circle(radius=1)), "shape"),
    ],
)
def test_arguments_that_json_would_change_are_refused(
    built: Callable[[], Worker], field: str
) -> None:
    with pytest.raises(NotStorableError) as caught:
        Baton().add("a", built())
    assert field in caught.value.problem
