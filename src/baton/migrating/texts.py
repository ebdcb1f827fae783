"""Pieces of SQL text: names of types as PostgreSQL's catalog has them, lists of names."""

from __future__ import annotations

from collections.abc import Iterable

# As pg_type names them; other types have one name only.
_TYPES = {
    "bigint": "int8",
    "boolean": "bool",
    "double precision": "float8",
    "integer": "int4",
    "smallint": "int2",
}


def catalog_name(declared: str) -> str:
    """The name in pg_type of a type as SQL declares it ("_text" is an array of text)."""
    element = declared.removesuffix("[]")
    name = _TYPES.get(element, element)
    return f"_{name}" if element != declared else name


def name_literals(names: Iterable[str]) -> str:
    """Plain names as SQL literals, sorted, with commas."""
    return ", ".join(f"'{name}'" for name in sorted(names))
