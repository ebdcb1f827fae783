"""References: what stands in a graph for the result of a step, or for the workflow's input."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeAlias, TypeVar

from baton.core.annotations import NoPartError, part
from baton.core.references import INPUT, RESULT, Place
from baton.words.reference_errors import (
    ForeignReferenceError,
    ReferenceUseError,
    UnknownFieldError,
)

if TYPE_CHECKING:
    # Written without its parameter, a step has a result of any type; see `baton.core.waits`.
    from typing_extensions import TypeVar as TypeVarWithDefault

    T_co = TypeVarWithDefault("T_co", covariant=True, default=Any)
else:
    T_co = TypeVar("T_co", covariant=True)


class Reference:
    """The value that a step will have returned, or the workflow's input, or a part of it.

    It is given to steps as an argument. Attributes and items lead to parts of the value:
    `a.output.words[0]`. It has no value yet: what uses it as one raises ReferenceUseError.
    """

    # A field of a user's may have any name that does not begin with an underscore.
    __slots__ = ("_annotation", "_owner", "_place")

    _owner: object
    _place: Place
    _annotation: Any

    def __getattr__(self, name: str) -> Reference:
        if name.startswith("_"):
            # Libraries look for methods of such names; the part of that name is an item.
            raise AttributeError(f"{self!r} has no attribute {name!r}; take the item [{name!r}]")
        return _part(self, name, attribute=True)

    def __getitem__(self, key: str | int) -> Reference:
        if isinstance(key, bool) or not isinstance(key, str | int):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ReferenceUseError(repr(self), f"taken apart by {key!r}")
        return _part(self, key, attribute=False)

    def __repr__(self) -> str:
        place = self._place
        of = "the workflow's input" if place.kind == INPUT else f"the result of {place.step!r}"
        return f"<{of} at {place.pointer!r}>" if place.path else f"<{of}>"

    def __hash__(self) -> int:
        return id(self)

    def __iter__(self) -> Iterator[Any]:
        self._refuse("iterated over")

    def __bool__(self) -> bool:
        self._refuse("tested")

    def __len__(self) -> int:
        self._refuse("measured")

    def __contains__(self, item: object) -> bool:
        self._refuse("searched")

    def __eq__(self, other: object) -> bool:
        self._refuse("compared")

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        self._refuse("called")

    def __str__(self) -> str:
        self._refuse("made a text")

    def __format__(self, spec: str) -> str:
        self._refuse("made a text")

    def __reduce__(self) -> NoReturn:
        self._refuse("copied or pickled")

    def _refuse(self, use: str) -> NoReturn:
        raise ReferenceUseError(repr(self), use)


def reference(owner: object, place: Place, annotation: Any = Any) -> Reference:
    """A reference of a builder's draft; `annotation` is the type of the value, Any if not known."""
    made = Reference()
    made._owner, made._place, made._annotation = owner, place, annotation
    return made


def place_of(given: Reference) -> Place:
    return given._place


def annotation_of(given: Reference) -> Any:
    return given._annotation


def _part(of: Reference, key: str | int, *, attribute: bool) -> Reference:
    try:
        found = part(of._annotation, key, attribute=attribute)
    except NoPartError as error:
        raise UnknownFieldError(repr(of), str(key), str(error)) from None
    place = of._place
    if found.key is not None:
        place = place._replace(path=(*place.path, found.key))
    return reference(of._owner, place, found.annotation)


class StepRef(Generic[T_co]):
    """A step of a workflow under construction; `T_co` is the type of its result.

    `output` stands for the result where another step takes it as an argument; `deps=[…]` takes the
    step itself.
    """

    __slots__ = ("_annotation", "_name", "_owner")

    def __init__(self, owner: object, name: str, annotation: Any) -> None:
        self._owner = owner
        self._name = name
        self._annotation = annotation

    @property
    def name(self) -> str:
        """The step's name."""
        return self._name

    @property
    def output(self) -> T_co:
        """The result that the step will have: a reference, to be given to other steps as an
        argument, whole or in part (`fetched.output.words[0]`). It has no value before.

        Raises UnknownFieldError for a part that the worker's annotated result does not have.
        """
        made: Any = reference(self._owner, Place(RESULT, self._name, ()), self._annotation)
        return made  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<step {self._name!r}>"


Dependency: TypeAlias = str | StepRef[Any]
"""A step by its name, or as `flow.step` returned it."""


def dependency_name(owner: object, option: str, given: object) -> object:
    """The name of a step that may be given as a reference. Raises ForeignReferenceError."""
    if not isinstance(given, StepRef):
        return given
    if given._owner is not owner:
        raise ForeignReferenceError(
            repr(given), f"{option}=[…]", "name a step of this one, as its step(…) returned it"
        )
    return given.name


def edges_of(owner: object, step: str, references: Iterable[Reference]) -> dict[str, None]:
    """The steps whose results are arguments of a step, each once. Raises ForeignReferenceError."""
    edges: dict[str, None] = {}
    for given in references:
        if given._owner is not owner:
            raise ForeignReferenceError(
                repr(given), f"step {step!r}", "take one of a step of this workflow"
            )
        place = place_of(given)
        if place.step is not None:
            edges[place.step] = None
    return edges


def check_edges(step: str, references: Iterable[Reference], deps: Collection[str]) -> None:
    """Raises ForeignReferenceError where a step takes the result of one that is none of its
    dependencies.
    """
    for given in references:
        name = place_of(given).step
        if name is not None and name not in deps:
            raise ForeignReferenceError(
                repr(given), f"step {step!r}", f"name it among its dependencies, deps=[{name!r}]"
            )
