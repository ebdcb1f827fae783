"""Errors as text that can always be stored, whatever the error is made of."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import TracebackType
from typing import Any, TypeGuard, TypeVar

T = TypeVar("T")

DEFAULT_LIMIT = 65_536
"""Most bytes of UTF-8 of an error's text."""

MOST_FRAMES = 40
MOST_ERRORS = 16
MOST_MEMBERS = 8
MOST_NOTES = 5

# The folder of Baton: this file lies in its `core`.
_PACKAGE = __file__[: __file__.rindex("core")]
_CUT = "… (cut)"
_ASCII_CUT = "... (cut)"
_LEFT_OUT_SIZE = 40


def describe(exception: BaseException, limit: int = DEFAULT_LIMIT) -> str:
    """Type, message and innermost frames of an error, then of its causes and its group's members.

    Never raises, whatever the error's own methods do, and never returns more than `limit` bytes of
    UTF-8. No source lines are shown: reading files is not for the event loop. A message is cut to
    half of the limit.
    """
    parts: list[str] = []
    budget = max(limit, 0)
    for label, error in _related(exception):
        title = sanitize(label + _title(error, budget // 2), budget // 2)
        budget -= _size(title)
        frames = _frames(error, budget)
        budget -= sum(map(_size, frames))
        parts += [title, *frames]
        if budget <= 0:
            break
    return sanitize("\n".join(parts), limit)


def sanitize(text: str, limit: int = DEFAULT_LIMIT) -> str:
    """A text that PostgreSQL stores: NUL and lone surrogates become visible escapes.

    At most `limit` bytes of UTF-8 are kept; a text that was cut says so at its end.
    """
    text = str.__str__(text)
    if len(text) <= limit and text.isascii() and "\0" not in text:
        return text
    limit = max(limit, 0)
    kept = text[:limit].replace("\0", "\\x00").encode("utf-8", "backslashreplace")
    if len(text) <= limit and len(kept) <= limit:
        return kept.decode()
    cut = _CUT.encode()
    room = limit - len(cut)
    if room < 0:
        return kept[:limit].decode("utf-8", "ignore")
    return kept[:room].decode("utf-8", "ignore") + _CUT


def ascii_only(text: str, limit: int = DEFAULT_LIMIT) -> str:
    """A text that a database in any encoding stores: other characters become visible escapes."""
    return sanitize(text.encode("ascii", "backslashreplace").decode("ascii"), limit).replace(
        _CUT, _ASCII_CUT
    )


def _related(exception: BaseException) -> Iterator[tuple[str, BaseException]]:
    queue: deque[tuple[str, BaseException]] = deque([("", exception)])
    seen = {id(exception)}
    shown = 0
    while queue and shown < MOST_ERRORS:
        label, error = queue.popleft()
        shown += 1
        yield label, error
        for next_label, other in (*_cause(error), *_members(error)):
            if _is(other, BaseException) and id(other) not in seen:
                seen.add(id(other))
                queue.append((next_label, other))


def _cause(error: BaseException) -> list[tuple[str, Any]]:
    cause = _safely(lambda: error.__cause__, None)
    if cause is not None:
        return [("caused by ", cause)]
    if _safely(lambda: error.__suppress_context__, True) is not False:
        return []
    return [("while handling ", _safely(lambda: error.__context__, None))]


def _members(error: BaseException) -> list[tuple[str, Any]]:
    if not _is(error, BaseExceptionGroup):
        return []
    members: Any = _safely(lambda: error.exceptions, ())
    count = _safely(lambda: len(members), 0)
    first = _first(lambda: members, MOST_MEMBERS)
    return [(f"member {place} of {count}: ", member) for place, member in enumerate(first, start=1)]


def _title(error: BaseException, limit: int) -> str:
    message = _safely(lambda: _message(error, limit), "(its text cannot be had: __str__ raised)")
    lines = [f"{_kind(type(error))}: {message}" if message else _kind(type(error))]
    notes = _first(lambda: error.__notes__, MOST_NOTES)
    lines += [f"  note: {_exact(note, limit // 8)}" for note in notes if _is(note, str)]
    return "\n".join(lines)


def _kind(kind: type[BaseException]) -> str:
    name = _exact(_safely(lambda: kind.__qualname__, "error"), 200)
    module = _exact(_safely(lambda: kind.__module__, ""), 200)
    return name if module in ("builtins", "") else f"{module}.{name}"


def _message(error: BaseException, limit: int) -> str:
    # A giant text among the arguments is cut before str() would copy it several times over.
    args: tuple[object, ...] = error.args
    show = type(error).__str__
    if show in (BaseException.__str__, KeyError.__str__) and any(_is_long(a, limit) for a in args):
        if show is BaseException.__str__ and len(args) == 1 and isinstance(args[0], str):
            return _exact(args[0], limit)
        short = [arg[:limit] if _is_long(arg, limit) else arg for arg in args]
        return repr(tuple(short) if len(short) > 1 else short[0])[:limit]
    return _exact(str(error), limit)


def _is_long(value: object, limit: int) -> TypeGuard[str | bytes | bytearray]:
    return isinstance(value, str | bytes | bytearray) and len(value) > limit


def _frames(error: BaseException, room: int) -> list[str]:
    trace = _beyond_baton(_safely(lambda: error.__traceback__, None))
    last: deque[TracebackType] = deque(maxlen=MOST_FRAMES)
    total = 0
    while _is(trace, TracebackType):
        last.append(trace)
        total += 1
        trace = trace.tb_next
    lines: list[str] = []
    while last:
        line = _frame(last.pop())
        room -= _size(line)
        if room < _LEFT_OUT_SIZE:
            break
        lines.append(line)
    left_out = total - len(lines)
    if left_out and lines:
        lines.append(f"  … {left_out} outer frames")
    return lines[::-1]


def _beyond_baton(trace: Any) -> Any:
    """Where the step's own code begins: how Baton came to call it tells nothing of the error."""
    own = trace
    while _is(own, TracebackType) and own.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        own = own.tb_next
    return trace if own is None else own


def _frame(trace: TracebackType) -> str:
    code = trace.tb_frame.f_code
    file, function = code.co_filename[-200:], code.co_qualname[:200]
    return f'  File "{file}", line {trace.tb_lineno}, in {function}'


def _first(read: Callable[[], Iterable[Any]], most: int) -> list[Any]:
    found: list[Any] = _safely(lambda: list(islice(read(), most)), [])
    return found


def _size(line: str) -> int:
    return len(line.encode("utf-8", "backslashreplace")) + 1


def _exact(text: object, limit: int) -> str:
    # A subclass of str may redefine slicing; this one is str's own and gives a str.
    return str.__getitem__(text, slice(max(limit, 0))) if _is(text, str) else ""


def _is(value: object, kind: type[T]) -> TypeGuard[T]:
    # isinstance() asks the value for its __class__, and so may run its code.
    return issubclass(type(value), kind)


def _safely(read: Callable[[], Any], default: Any) -> Any:
    # An error's methods are the step's code and may raise CancelledError or SystemExit.
    try:
        return read()
    except BaseException:
        return default
