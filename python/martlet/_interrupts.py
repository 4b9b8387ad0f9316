"""Ctrl-C while the library computes."""

from __future__ import annotations

import signal
import threading
from typing import Any


class Interrupts:
    """While entered on the main thread, the first SIGINT is only noted; leaving hands it to the handler that stood before.

    An exception raised inside a C callback cannot pass through the C caller, so the callback asks :attr:`pending` and stops
    the call, and ``KeyboardInterrupt`` rises once the library has returned. A second SIGINT goes to the old handler at once.
    """

    def __init__(self) -> None:
        self.pending = False
        self._previous: Any = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            previous = signal.getsignal(signal.SIGINT)
            if callable(previous):
                self._previous = previous
                signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, number: int, frame: Any) -> None:
        if self.pending:
            self._previous(number, frame)
        self.pending = True

    def __exit__(self, *exception: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            if self.pending:
                self._previous(signal.SIGINT, None)
