"""What is written is what is read, or it is refused: results, events, memos and arguments alike."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import (
    BaseModel,
    Field,
)

from baton import Step, Worker, worker
from baton.core.jsonvalue import decode, encode
from baton.core.payload_schema import problems
from baton.core.waits import Wanted
from baton.errors import NotStorableError, ResultTypeError
from baton.steps.replay import _validated
from baton.steps.results import encode_result, typed
from baton.steps.wait_options import new_wait
from baton.workers.class_worker import job_of
from baton.workers.registry import held_spec
from support.values import (
    FOLDED,
    KEPT,
    MOMENTS,
    REFUSED,
    Address,
    Base,
    Box,
    ByName,
    Circle,
    Foreign,
    Loose,
    Nested,
    Open,
    Point,
    Untyped,
    Validated,
    Withheld,
    same,
)


class Carrier(Worker, name="round-trip-carrier"):
    value: Any

    async def perform(self, step: Step) -> None: ...


def as_result(value: Any, kind: Any) -> Any:
    text = encode_result(value, 10_000)
    (inner,) = decode(text).values()
    return typed(encode(inner, what="it"), kind, step=None, dependency="x")


def as_event(value: Any, kind: Any) -> Any:
    """Sent to a wait with this model, checked by its schema as it is stored, and read by it."""
    wait = new_wait(Wanted(("e",), 1), {"payload_type": kind})
    assert wait.payload_schema is not None
    payload = decode(encode(value, what="the payload"))
    assert problems(payload, decode(wait.payload_schema), "e") == []
    return _validated({"e": payload}, {"e": kind})["e"]


def as_argument(value: Any, kind: Any) -> Any:
    class Takes(Worker, name="round-trip-takes"):
        value: kind

        async def perform(self, step: Step) -> None: ...

    spec: Any = Takes.__baton_spec__
    return spec.build(job_of(Takes(value=value)).args).value


WAYS: list[Callable[[Any, Any], Any]] = [as_result, as_event, as_argument]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", KEPT)
def test_a_type_reads_what_it_has_written(what: str, way: Callable[[Any, Any], Any]) -> None:
    given = KEPT[what]
    assert same(way(given, type(given)), given)


@pytest.mark.parametrize("way", ["result", "event", "memo"])
@pytest.mark.parametrize("what", REFUSED)
def test_what_its_type_does_not_read_back_is_refused(what: str, way: str) -> None:
    value, named = REFUSED[what]
    write = partial(encode, what=f"the {way}")
    if way == "result":
        write = partial(encode_result, limit=10_000)
    with pytest.raises(NotStorableError) as caught:
        write(value)
    assert named in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.what == f"the {way}"


@pytest.mark.parametrize("what", sorted(REFUSED.keys() - {"a secret pydantic does not see"}))
def test_such_arguments_are_refused_too(what: str) -> None:
    with pytest.raises(NotStorableError) as caught:
        as_argument(REFUSED[what][0], type(REFUSED[what][0]))
    assert "s3cret" not in str(caught.value)


def test_an_untyped_place_holds_the_json_of_what_is_put_there() -> None:
    for value, plain in [
        (
            Untyped(payload={"at": date(2026, 1, 1), "of": (1, 2)}),
            {"at": "2026-01-01", "of": [1, 2]},
        ),
        (Untyped(payload=Circle(name="c", radius=1)), {"name": "c", "radius": 1.0}),
        (Box[Any](content=[UUID(int=1)]), ["00000000-0000-0000-0000-000000000001"]),
        (Open(when=date(2026, 1, 1)), "2026-01-01"),
    ]:
        stored = decode(encode(value, what="it"))
        assert list(stored.values()) == [plain]
    # An argument is what the worker was given, or refused.
    with pytest.raises(NotStorableError, match=r"changes when it is read back"):
        job_of(Carrier(value={"at": date(2026, 1, 1)}))


def test_what_is_written_whole_by_request_is_kept() -> None:
    stored = decode(encode(Loose(shapes=[Circle(name="c", radius=1)]), what="it"))
    assert stored == {"shapes": [{"name": "c", "radius": 1.0}]}


def test_a_field_that_is_excluded_on_purpose_is_left_out() -> None:
    assert decode(encode(Withheld(name="a", internal="b"), what="it")) == {"name": "a"}
    with pytest.raises(NotStorableError, match="internal"):
        as_argument(Withheld(name="a", internal="b"), Withheld)


def test_a_dataclass_of_unknown_types_is_written_field_by_field() -> None:
    given = Foreign(None, Circle(name="c", radius=1))
    assert decode(encode(given, what="it")) == {
        "odd": None,
        "shape": {"name": "c", "radius": 1.0},
        "secret": None,
    }


def test_plain_json_values_are_not_looked_at_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def unexpected(*args: object) -> None:
        raise AssertionError(args)

    monkeypatch.setattr("baton.core.roundtrip.write", unexpected)
    monkeypatch.setattr("baton.core.roundtrip.read", unexpected)
    plain = [None, True, 5, 1.5, "a", {"a": [1, {"b": None}]}, ("a", 2)]
    assert decode(encode(plain, what="it")) == [*plain[:-1], ["a", 2]]


class Unit:
    """Metadata without a hash."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, name: str) -> None:
        self.name = name


def test_a_type_without_a_hash_may_be_read() -> None:
    kind: Any = Annotated[float, Unit("kg")]
    assert typed("1.5", kind, step=None, dependency="a") == 1.5
    with pytest.raises(ResultTypeError):
        typed('"x"', kind, step=None, dependency="a")


def test_a_result_may_come_by_its_aliases_and_by_its_names() -> None:
    for text in ('{"zipCode": "1"}', '{"zip_code": "1"}'):
        for kind in (Address, Validated, ByName):
            assert typed(text, kind, step=None, dependency="a").zip_code == "1"


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives_left: int = Field(alias="livesLeft")


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"


@pytest.mark.parametrize(
    ("payload", "accepted"),
    [
        ({"address": {"zipCode": "1"}}, True),
        ({"address": {"zip_code": "1"}}, True),
        ({"address": {}}, False),
        ({"address": {"zip_code": 1}}, False),
    ],
)
def test_an_event_may_come_by_aliases_and_by_names(payload: Any, accepted: bool) -> None:
    wait = new_wait(Wanted(("e",), 1), {"payload_type": Nested})
    assert wait.payload_schema is not None
    assert (problems(payload, decode(wait.payload_schema), "e") == []) is accepted


def test_a_union_with_aliases_has_a_schema() -> None:
    pets: Any = Annotated[Cat | Dog, Field(discriminator="kind")]
    wait = new_wait(Wanted(("e",), 1), {"payload_type": pets})
    assert wait.payload_schema is not None
    schemas = decode(wait.payload_schema)
    for payload in ({"kind": "cat", "lives_left": 3}, {"kind": "cat", "livesLeft": 3}):
        assert problems(payload, schemas, "e") == []
    assert problems({"kind": "cat"}, schemas, "e") != []
    assert problems({"kind": "cow"}, schemas, "e") != []


def test_a_model_without_aliases_keeps_one_schema() -> None:
    wait = new_wait(Wanted(("e",), 1), {"payload_type": Base})
    assert wait.payload_schema is not None
    assert decode(wait.payload_schema)["*"] == Base.model_json_schema()


@worker(name="round-trip-plan")
async def plan(step: Step, *, at: datetime, points: list[Point] = []) -> None: ...  # noqa: B006


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_moment_twice_a_year_is_an_argument(moment: str) -> None:
    built = held_spec(plan).args.model_validate_json(plan.new(at=MOMENTS[moment]).args)
    assert same(built.at, MOMENTS[moment])  # type: ignore[attr-defined]


def test_a_dataclass_with_a_computed_field_is_an_argument() -> None:
    job = plan.new(at=FOLDED, points=[Point(1), Point(2)])
    assert held_spec(plan).args.model_validate_json(job.args).points == [  # type: ignore[attr-defined]
        Point(1),
        Point(2),
    ]
