"""What public calls return can be imported from a public module, and so be annotated."""

from __future__ import annotations

import collections.abc
import inspect
import typing
from collections.abc import Iterator
from typing import Any

from support.public_modules import PUBLIC_MODULES

PUBLIC = {
    id(getattr(module, name)) for module in PUBLIC_MODULES for name in vars(module)["__all__"]
}


def functions() -> Iterator[tuple[str, Any]]:
    """Every public function, method and property, by name."""
    for module in PUBLIC_MODULES:
        for name in vars(module)["__all__"]:
            found = getattr(module, name)
            if inspect.isclass(found):
                for inner in vars(found):
                    method = inspect.getattr_static(found, inner)
                    if isinstance(method, property):
                        method = method.fget
                    method = inspect.unwrap(getattr(method, "__func__", method))
                    if not inner.startswith("_") and inspect.isfunction(method):
                        yield f"{name}.{inner}", method
            elif inspect.isfunction(found):
                yield name, found


def ours(kind: Any) -> Iterator[type]:
    """The classes of Baton's in a type."""
    for inner in typing.get_args(kind):
        yield from ours(inner)
    origin = typing.get_origin(kind) or kind
    if isinstance(origin, type) and origin.__module__.startswith("baton"):
        yield origin


def returned(function: Any) -> Any:
    """What a function says that it returns. The driver's classes, generic for type checkers only,
    are any class here.
    """
    told = function.__annotations__.get("return")
    if not isinstance(told, str):
        return told
    return eval(
        told.replace("asyncpg.Connection[Any]", "Any"), vars(collections.abc) | function.__globals__
    )


def test_what_public_calls_return_can_be_imported() -> None:
    found = {
        name: [kind.__name__ for kind in ours(returned(function)) if id(kind) not in PUBLIC]
        for name, function in functions()
    }
    assert {"Baton.handle", "WorkflowHandle.steps", "insert_all"} <= found.keys()
    assert {name: kinds for name, kinds in found.items() if kinds} == {}
