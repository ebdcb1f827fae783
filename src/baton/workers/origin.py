"""Where a worker is defined: its default name, and whether two definitions are one.

One file may be loaded under several module names (`__main__`, the `__mp_main__` of a spawned child,
the name that others import), and a module may be executed again by a reload. Such definitions are
one and the same. Two definitions that meet in one execution of a module are not, whatever their
names say: a decorator without `functools.wraps`, a factory or a loop gives all it makes one name.
"""

from __future__ import annotations

import inspect
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from types import CodeType, FrameType
from typing import Any

from baton.core.names import validate_worker_name

_MAINS = ("__main__", "__mp_main__", "__console__")
_CONSOLES = ("asyncio.__main__", "_pyrepl.__main__")
"""Modules whose names and files what is typed into `python -m asyncio`, or into the interactive
shell of Python 3.13, has."""
_MACHINERY = ("baton", "pydantic", "abc", "functools", "typing")
_MOST_PARTS = 8
_warned: set[str] = set()


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A piece of code that makes up a worker: its own, and what a decorator has put into it."""

    qualname: str
    file: str | None
    namespace: Mapping[str, Any]
    line: int
    code: CodeType | None


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """One definition of a worker, and the part of it that stands where it is defined.

    `execution` is the code of the module whose execution defines it, None when a function defines
    it later; `site` the code that contains the definition.
    """

    parts: tuple[Part, ...]
    written: Part
    execution: CodeType | None
    site: CodeType | None
    named: bool
    """Whether the worker was given a name."""

    @property
    def place(self) -> str:
        """Where the definition is written, for people."""
        written = self.written
        file = written.file or (written.code.co_filename if written.code else "?")
        return f"{file}, line {written.line} ({written.qualname})"


def origin_of_function(function: Callable[..., Any], *, named: bool) -> Origin:
    """The origin of a function that is being defined by one of the callers."""
    parts = tuple(_parts(function))
    found = [(part, *_executing(part.namespace)) for part in parts]
    # A decorator's own code may come from elsewhere.
    return Origin(parts, *next((f for f in found if f[1] is not None), found[0]), named)


def origin_of_class(cls: type, *, named: bool) -> Origin:
    """The origin of a class that is being defined by one of the callers."""
    frame = _defining_frame(cls.__module__)
    execution, site = _executing(frame.f_globals)
    own = next((value for value in map(_code_of, vars(cls).values()) if value), None)
    file = _real_file(frame.f_code.co_filename)
    part = Part(cls.__qualname__, file, frame.f_globals, frame.f_lineno, own)
    return Origin((part,), part, execution, site, named)


def is_read_again(new: Origin, known: Origin) -> bool:
    """Whether `new` is the definition `known`, made by loading its source once more."""
    if len(new.parts) != len(known.parts):
        return False
    if not all(map(_same_place, new.parts, known.parts)):
        return False
    again = new.execution is not known.execution
    if new.execution is not None and not again:
        # Two definitions in one execution of a module.
        return False
    if all(a.code is b.code for a, b in zip(new.parts, known.parts, strict=True)):
        # The same loaded code has run again: a factory, or a function that defines its worker at
        # every call. With a name of its own the caller has said that they are one.
        return new.named or (again and not any("<locals>" in part.qualname for part in new.parts))
    return new.site is not known.site


def advice(new: Origin) -> str:
    """How to make a definition known whose name is taken."""
    if any("<locals>" in part.qualname for part in new.parts) and not new.named:
        return "give each of them a name of its own, name='…' (a decorator needs functools.wraps)"
    return "give one of them another name, name='…'"


def default_name(definition: Any) -> str:
    """The name of a worker that was given none: the name under which other processes import its
    module, and its qualified name.

    Raises InvalidNameError when too long.
    """
    module: str = definition.__module__
    if module in _MAINS:
        module = _importable(module, definition.__qualname__)
    return validate_worker_name(f"{module}.{definition.__qualname__}")


def _importable(module: str, qualname: str) -> str:
    """What `__main__` is called where it is imported: by `python -m` it has its name, a script has
    that of its file, and what is typed or piped in has none. Of two scripts, both `__main__`, the
    one would perform the other's jobs.
    """
    frame = _defining_frame(module)
    scope = frame.f_globals
    if scope.get("__name__") != module and module in sys.modules:
        scope = vars(sys.modules[module])
    known: str | None = getattr(scope.get("__spec__"), "name", None)
    if known is not None and known not in _CONSOLES and known not in _MAINS:
        return known
    file = None if known in _CONSOLES else scope.get("__file__")
    if file and not file.startswith("<"):
        path = PurePath(file)
        # A directory or an archive is run by the `__main__.py` in it.
        return path.parent.stem if path.stem in _MAINS else path.stem
    if qualname not in _warned:
        _warned.add(qualname)
        warnings.warn_explicit(
            f"the worker {qualname!r} is defined in {module}, which has no file: another such "
            f"program on this database may have a '{module}.{qualname}' too, and each performs the "
            "jobs of both; give it a name of its own: name='…'",
            UserWarning,
            frame.f_code.co_filename,
            frame.f_lineno,
        )
    return module


def _parts(function: Callable[..., Any]) -> Iterator[Part]:
    """The function as it was written, then the functions that it wraps in a closure."""
    ahead: list[Any] = [function]
    seen: set[int] = set()
    while ahead and len(seen) < _MOST_PARTS:
        written = inspect.unwrap(ahead.pop(0))
        if not inspect.isfunction(written) or id(written) in seen:
            continue
        seen.add(id(written))
        code = written.__code__
        yield Part(
            written.__qualname__,
            _real_file(code.co_filename),
            written.__globals__,
            code.co_firstlineno,
            code,
        )
        for cell in written.__closure__ or () if "<locals>" in written.__qualname__ else ():
            try:
                ahead.append(cell.cell_contents)
            except ValueError:
                # Not filled yet: it refers to what comes later.
                continue


def _same_place(new: Part, known: Part) -> bool:
    same_source = new.namespace is known.namespace or (
        new.file is not None and new.file == known.file
    )
    return same_source and new.qualname == known.qualname


def _executing(namespace: Mapping[str, Any]) -> tuple[CodeType | None, CodeType | None]:
    """The module code of this namespace that is running, and the innermost code of it that is."""
    site: CodeType | None = None
    for frame in _callers():
        if frame.f_globals is namespace:
            site = site or frame.f_code
            if frame.f_locals is frame.f_globals:
                return frame.f_code, site
    return None, site


def _defining_frame(module: str) -> FrameType:
    """Where the definition is: the innermost caller in its module, else the innermost outside."""
    outside: FrameType | None = None
    for frame in _callers():
        name = str(frame.f_globals.get("__name__"))
        if name == module:
            return frame
        if outside is None and name.partition(".")[0] not in _MACHINERY:
            outside = frame
    return outside or sys._getframe()


def _callers() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _code_of(value: Any) -> CodeType | None:
    written = inspect.unwrap(value) if inspect.isfunction(value) else None
    return getattr(written, "__code__", None)


def _real_file(name: str) -> str | None:
    """The file of code; None for code that has none, such as '<string>' or '<stdin>'."""
    return None if name.startswith("<") else os.path.realpath(name)
