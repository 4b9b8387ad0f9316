"""The process that holds one library at one number of threads: ``python -m benchmarks.worker MODULE:CLASS THREADS``.

It answers pickled requests on its standard input, ``(method, arguments)``, with ``("done", result)``,
``("unsupported", reason)``, ``("wrong", reason)`` or ``("failed", traceback)``. What libraries print goes to standard error.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import pickle
import signal
import sys
import traceback
from typing import IO, Any

from .cases import Case, WrongAnswerError
from .libraries.library import Contender, Library, UnsupportedError
from .timing import Burst, burst


class Worker:
    """The requests, as methods."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._case: Case | None = None
        self._reference: dict[str, Any] = {}
        self._contenders: dict[str, Contender] = {}

    def version(self) -> str:
        """Of the library."""
        return self._library.version()

    def variants(self, case: Case) -> list[str]:
        """The library's ways to do ``case``; forgets the case before."""
        self._case, self._reference, self._contenders = case, {}, {}
        self._library.forget()
        gc.collect()
        return list(self._library.makers(case))

    def prepare(self, variant: str) -> float:
        """Makes a contender ready and compares its answer; gives the largest error as a share of its tolerance."""
        assert self._case is not None
        contender = self._library.makers(self._case)[variant]()
        self._reference = self._reference or self._case.reference()
        error = self._case.check(contender.answer(), self._reference)
        contender.run()
        self._contenders[variant] = contender
        return error

    def burst(self, variant: str, seconds: float, calls: int) -> Burst:
        """:func:`benchmarks.timing.burst` of a contender that was prepared."""
        if variant not in self._contenders:
            raise WrongAnswerError(f"{variant!r} is not timed: its answer was not checked")
        return burst(self._contenders[variant].run, seconds, calls)


def serve(worker: Worker, requests: IO[bytes], replies: IO[bytes]) -> None:
    """Answers until the requests end."""
    while True:
        try:
            method, arguments = pickle.load(requests)
        except EOFError:
            return
        reply: tuple[str, Any]
        try:
            reply = ("done", getattr(worker, method)(*arguments))
        except UnsupportedError as error:
            reply = ("unsupported", str(error))
        except WrongAnswerError as error:
            reply = ("wrong", str(error))
        except Exception:
            reply = ("failed", traceback.format_exc())
        send(replies, reply)


def send(stream: IO[bytes], message: Any) -> None:
    """One message."""
    pickle.dump(message, stream, protocol=4)
    stream.flush()


def end_with_parent() -> None:
    """Has Linux end this process with the one that started it: stopped, it would never see its requests end."""
    if sys.platform == "linux":
        prctl_set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(prctl_set_parent_death_signal, int(signal.SIGKILL), 0, 0, 0)


def main() -> None:
    """The process."""
    end_with_parent()
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    module, _, name = sys.argv[1].partition(":")
    try:
        library = getattr(importlib.import_module(module), name)(int(sys.argv[2]))
    except ImportError as error:
        send(replies, ("unsupported", f"{error.name or error} is not installed"))
        return
    except Exception:
        send(replies, ("failed", traceback.format_exc()))
        return
    send(replies, ("done", library.version()))
    serve(Worker(library), sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
