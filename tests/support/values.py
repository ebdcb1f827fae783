"""Values whose types write and read them in every way that pydantic has."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Generic, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import (
    AliasChoices,
    AliasGenerator,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    PrivateAttr,
    RootModel,
    SecretStr,
    SerializeAsAny,
    computed_field,
    field_serializer,
)
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass as pydantic_dataclass

T = TypeVar("T")
BERLIN = ZoneInfo("Europe/Berlin")


class Serialized(BaseModel):
    zip_code: str = Field(serialization_alias="zipCode")


class Camel(BaseModel):
    model_config = ConfigDict(alias_generator=AliasGenerator(serialization_alias=to_camel))
    zip_code: str


class Validated(BaseModel):
    zip_code: str = Field(validation_alias="zipCode")


class Chosen(BaseModel):
    zip_code: str = Field(validation_alias=AliasChoices("zip", "zipCode"))


class ByName(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_alias=False, validate_by_name=True
    )
    zip_code: str


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def area(self) -> int:
        return self.width**2


class Encoded(BaseModel):
    numbers: Json[list[int]]


class Address(BaseModel):
    zip_code: str = Field(alias="zipCode")


class Nested(BaseModel):
    address: Address
    others: list[Address] = []
    by_name: dict[str, Address] = {}


class Base(BaseModel):
    name: str


class Circle(Base):
    radius: float


class Drawing(BaseModel):
    shapes: list[Base]


class Envelope(BaseModel):
    payload: BaseModel


class Box(BaseModel, Generic[T]):
    content: T


class Tree(BaseModel):
    children: list[Tree] = []


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Cached(BaseModel):
    name: str
    _cache: dict[str, int] = PrivateAttr(default_factory=dict)

    def model_post_init(self, context: Any) -> None:
        self._cache["looked"] = id(self)


class Withheld(BaseModel):
    name: str
    internal: str = Field(default="", exclude=True)


class Secretive(BaseModel):
    user: str
    token: SecretStr


class Revealing(BaseModel):
    token: SecretStr

    @field_serializer("token")
    def reveal(self, token: SecretStr) -> str:
        return token.get_secret_value()


class OneWay(BaseModel):
    when: date

    @field_serializer("when")
    def shown(self, when: date) -> str:
        return f"{when:%d.%m.%Y}"


class Untyped(BaseModel):
    payload: Any


class Loose(BaseModel):
    shapes: list[SerializeAsAny[Base]]


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int = field(init=False)

    def __post_init__(self) -> None:
        self.y = self.x + 1


@dataclass
class SecretPoint:
    token: SecretStr


@dataclass
class Holder:
    shapes: list[Base]


@dataclass
class Foreign:
    """With a type that pydantic does not know."""

    odd: range | None
    shape: Base
    secret: SecretStr | None = None


@pydantic_dataclass
class Checked:
    at: datetime
    point: Point


FOLDED = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)
MOMENTS = {
    "first in the fold": FOLDED,
    "second in the fold": FOLDED.replace(fold=1),
    "in the gap": datetime(2026, 3, 29, 2, 30, tzinfo=BERLIN),
    "in the gap, folded": datetime(2026, 3, 29, 2, 30, fold=1, tzinfo=BERLIN),
    "noon": datetime(2026, 10, 25, 12, tzinfo=BERLIN),
    "utc": datetime(2026, 10, 25, 2, 30, tzinfo=UTC),
    "naive": FOLDED.replace(fold=1, tzinfo=None),
    "the last": datetime.max.replace(tzinfo=UTC),
}


class Planned(BaseModel):
    at: datetime
    more: dict[str, list[datetime]] = {}


KEPT: dict[str, Any] = {
    "serialization_alias": Serialized(zip_code="1"),
    "alias_generator": Camel(zip_code="1"),
    "validation_alias": Validated(zipCode="1"),
    "alias_choices": Chosen(zipCode="1"),
    "by name only": ByName(zip_code="1"),
    "computed": Computed(width=3),
    "json": Encoded(numbers="[1, 2]"),
    "plain alias": Address(zipCode="1"),
    "nested alias": Nested(
        address=Address(zipCode="1"),
        others=[Address(zipCode="2")],
        by_name={"a": Address(zipCode="3")},
    ),
    "a drawing of its own kind": Drawing(shapes=[Base(name="b")]),
    "generic": Box[list[Circle]](content=[Circle(name="c", radius=1)]),
    "recursive": Tree(children=[Tree(children=[Tree()])]),
    "root": RootModel[dict[str, date]]({"a": date(2026, 1, 1)}),
    "private": Cached(name="c"),
    "revealed secret": Revealing(token=SecretStr("s3cret")),
    "computed in a dataclass": Point(1),
    "dataclasses": Checked(at=FOLDED.replace(fold=1), point=Point(2)),
    "a planned moment": Planned(at=FOLDED, more={"a": [FOLDED.replace(fold=1)]}),
    "decimal": Decimal("1.10"),
    "enum": Colour.RED,
    "timedelta": timedelta(microseconds=1),
    "time": time(2, 30, fold=1),
    "uuid": UUID(int=5),
    **MOMENTS,
}


REFUSED: dict[str, tuple[Any, str]] = {
    "a secret": (Secretive(user="u", token=SecretStr("s3cret")), "secret"),
    "secrets in a list": ([Secretive(user="u", token=SecretStr("s3cret"))], "secret"),
    "secrets in a dict": ({"a": {"b": Secretive(user="u", token=SecretStr("s3cret"))}}, "secret"),
    "a secret in a dataclass": (SecretPoint(SecretStr("s3cret")), "secret"),
    "a secret where any may be": (Untyped(payload={"a": [SecretStr("s3cret")]}), "payload"),
    "a secret behind a generic": (Box[Any](content=SecretStr("s3cret")), "secret"),
    "a secret pydantic does not see": (
        Foreign(None, Base(name="b"), SecretStr("s3cret")),
        "secret",
    ),
    "a field of a subclass": (Drawing(shapes=[Circle(name="c", radius=1)]), "shapes[0]"),
    "a model behind BaseModel": (Envelope(payload=Circle(name="c", radius=1)), "payload"),
    "a subclass in a dataclass": (Holder([Circle(name="c", radius=1)]), "shapes[0]"),
    "a subclass in a set of dicts": ({"a": [Drawing(shapes=[Circle(name="c", radius=1)])]}, "c"),
    "what is formatted": (OneWay(when=date(2026, 2, 1)), "OneWay.when"),
    "not a number": (Box[float](content=math.nan), "nan"),
    "infinity": (Box[float](content=math.inf), "inf"),
    "bytes that are no text": (Box[bytes](content=b"\xff"), ""),
}


def same(read: Any, given: Any) -> bool:
    """Whether a value was read as it was written: moments count as instants, private state not."""
    if isinstance(given, datetime) and given.tzinfo is not None:
        return bool(read.astimezone(UTC) == given.astimezone(UTC))
    if isinstance(given, Planned):
        return same(read.at, given.at) and all(
            map(same, read.more.get("a", []), given.more.get("a", []))
        )
    if isinstance(given, Checked):
        return same(read.at, given.at) and read.point == given.point
    if isinstance(given, Cached):
        return bool(read.name == given.name)
    return bool(read == given and type(read) is type(given))
