"""The base of every error of Baton, and how an error shows what it was given."""

from __future__ import annotations

from typing import Any


class BatonError(Exception):
    """Base of every error of Baton."""

    def __init_subclass__(cls) -> None:
        if cls.__module__.startswith("baton.words."):
            # Shown, and pickled, by the path from which it is imported.
            cls.__module__ = "baton.errors"

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.__dict__.update(fields)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.__dict__)


BatonError.__module__ = "baton.errors"


def _restore(kind: type[BatonError], fields: dict[str, Any]) -> BatonError:
    error = kind.__new__(kind)
    Exception.__init__(error, fields["message"])
    error.__dict__.update(fields)
    return error


def shown(value: object, limit: int = 200) -> str:
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__name__} whose repr raises>"
    return text if len(text) <= limit else text[: limit - 1] + "…"
