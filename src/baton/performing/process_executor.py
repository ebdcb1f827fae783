"""An executor for CPU-bound steps, whose processes end with what they were begun for.

Each process has a thread that drives it: it hands over a call and waits for what comes of it. A
call that is cancelled, as by a time-out or an interruption, kills its process. The system ends a
process with the thread that began it (on Linux), and a thread inside it watches the parent.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, ParamSpec, TypeVar

from baton.performing.crew import Crew
from baton.words.argument_errors import InvalidOptionError

P = ParamSpec("P")
T = TypeVar("T")

_PR_SET_PDEATHSIG = 1


class _Call(Future[Any]):
    """A call whose cancellation kills the process that runs it."""

    def __init__(self, finish: Callable[[], None]) -> None:
        super().__init__()
        self._finish = finish
        self.killed = False
        self._process: BaseProcess | None = None
        self._guard = threading.Lock()

    def set_result(self, result: Any) -> None:
        self._finish()
        super().set_result(result)

    def set_exception(self, exception: BaseException | None) -> None:
        self._finish()
        super().set_exception(exception)

    def cancel(self) -> bool:
        if super().cancel():
            return True
        with self._guard:
            self.killed = True
            if self._process is not None:
                self._process.kill()
        return False

    def runs_in(self, process: BaseProcess | None) -> None:
        """From now on a cancellation kills this process, also one that came before."""
        with self._guard:
            self._process = process
            if process is not None and self.killed:
                process.kill()


class ProcessExecutor(Executor):
    """Runs calls in at most `max_workers` processes of its own, begun when they are needed.

        pool = ProcessExecutor(max_workers=4)

        @worker(queue="cpu", executor=pool, timeout=60)
        def resize(step: SyncStep, *, path: str) -> str: ...

    A call that is cancelled, as by a time-out or a stop, ends its process at once; the next call
    gets another one, as after a crash. The processes end with this one, also when it is killed.
    They are spawned: the step's module must be importable, and a script needs
    `if __name__ == "__main__":`. Raises InvalidOptionError.
    """

    def __init__(self, max_workers: int) -> None:
        given: object = max_workers
        if not isinstance(given, int) or isinstance(given, bool) or given < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidOptionError("max_workers", given, "a whole number of at least 1")
        self._max_workers = given
        self._reset()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        if self._owner != os.getpid():
            # A fork has none of the threads.
            self._reset()
        call = _Call(self._crew.finish)
        self._crew.put((call, fn, args, kwargs))
        return call

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Begin nothing more and end the processes that are free; `cancel_futures` ends those that
        work too. Never waits.
        """
        self._crew.close()
        for call in list(self._running) if cancel_futures else ():
            call.cancel()

    def _reset(self) -> None:
        self._owner = os.getpid()
        refusal = "cannot schedule new futures after shutdown"
        self._crew: Crew[Any] = Crew(self._max_workers, self._begin, refusal)
        self._running: set[_Call] = set()

    def _begin(self, _: int) -> None:
        threading.Thread(target=self._drive, name="baton-process", daemon=True).start()

    def _drive(self) -> None:
        driven: tuple[BaseProcess, Connection] | None = None
        while True:
            given = self._crew.take()
            if given is None:
                break
            call, *work = given
            if call.set_running_or_notify_cancel():
                self._running.add(call)
                driven = _run(call, work, driven)
                self._running.discard(call)
            else:
                self._crew.finish()
            del call, work, given
        if driven is not None:
            _end(*driven)


def _run(
    call: _Call, work: list[Any], driven: tuple[BaseProcess, Connection] | None
) -> tuple[BaseProcess, Connection] | None:
    """Have a process do it; returns the process that may be used again."""
    if driven is not None and not driven[0].is_alive():
        _end(*driven)
        driven = None
    try:
        process, connection = driven = driven or _begin()
        call.runs_in(process)
        connection.send(work)
        done, value = connection.recv()
    except (EOFError, OSError):
        call.runs_in(None)
        if driven is not None:
            driven[0].join(1.0)
            code = driven[0].exitcode
            _end(*driven)
            call.set_exception(BrokenProcessPool(f"the step's process ended (exit code {code})"))
        else:
            call.set_exception(BrokenProcessPool("no process could be begun"))
        return None
    except BaseException as error:
        # It cannot be pickled, or what came back cannot be unpickled: the process is as before.
        call.runs_in(None)
        call.set_exception(error)
        return driven
    call.runs_in(None)
    if done:
        call.set_result(value)
    else:
        call.set_exception(value)
    return driven


def _begin() -> tuple[BaseProcess, Connection]:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, os.getpid()), name="baton-step")
    # Ended by its thread; the end of the program is not to wait for what it computes.
    process.daemon = True
    process.start()
    theirs.close()
    return process, ours


def _end(process: BaseProcess, connection: Connection) -> None:
    connection.close()
    process.kill()
    process.join(1.0)


def _serve(connection: Connection, parent: int) -> None:
    """The whole life of a process."""
    _end_with_parent(parent)
    # Ctrl-C goes to the whole group: the engine decides what becomes of its steps.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            function, args, kwargs = connection.recv()
        except (EOFError, OSError):
            return
        except BaseException as error:
            connection.send((False, RuntimeError(f"the call cannot be read here: {error!r}")))
            continue
        try:
            answer = True, function(*args, **kwargs)
        except BaseException as error:
            answer = False, error
        try:
            connection.send(answer)
        except OSError:
            return
        except BaseException as error:
            connection.send((False, RuntimeError(f"the result cannot be sent: {error!r}")))


def _end_with_parent(parent: int) -> None:
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    watched = parent_process()
    if watched is not None:
        threading.Thread(target=_watch, args=(watched,), daemon=True).start()


def _watch(parent: Any) -> None:
    parent.join()
    os._exit(1)
