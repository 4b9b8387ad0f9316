"""Calls of the library that call Python code back: exceptions and signals on their way through C."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

_thread = threading.local()


class CallbackScope:
    """Surrounds one call of the library in which it may call Python functions back, and carries out of it what they raise.

    An exception cannot pass through the C code between a callback and the call. So a callback runs the user's function by
    :meth:`run`, keeps what it raises by :meth:`fail`, and asks :meth:`stops` whether the library shall end the call;
    :meth:`reraise` raises it once the library has returned.

    Python runs signal handlers between any two instructions of the main thread, also those of a callback before its ``try``,
    where what they raise would be lost. So on the main thread every handler that is a Python function is replaced: outside the
    user's functions a signal is only noted, and its own handler runs at the end of the callback or after the call. Inside the
    user's functions, which may take long, it runs at once. A handler that raises ends the call, one that returns does not.
    """

    def __init__(self) -> None:
        self.exception: BaseException | None = None
        self._handlers: dict[int, Callable[[int, Any], Any]] = {}
        self._pending: list[int] = []
        self._runs_users_code = False
        self._outer: CallbackScope | None = None

    def __enter__(self) -> CallbackScope:
        self._outer = current()
        try:
            _thread.scope = self
            if threading.current_thread() is threading.main_thread():
                self._replace_handlers()
        except BaseException:  # of a handler that has not been replaced yet
            self._leave()
            raise
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> bool:
        self._leave()
        # What the library says of a call that a callback ended is less than the callback's own exception.
        return self.exception is not None

    # -- for the functions that the library calls

    def run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Calls a function of the user's; to be called inside a ``try``."""
        self._runs_users_code = True
        try:
            while self._pending:  # signals that came just before; from here on they are not noted
                self._handle(self._pending.pop(0))
            return function(*arguments)
        finally:
            self._runs_users_code = False
            if self._handlers:
                self._replace_handlers()  # it may have set others

    def fail(self, error: BaseException) -> None:
        """Keeps the first exception."""
        if self.exception is None:
            self.exception = error

    def stops(self) -> bool:
        """Runs the handlers of the signals that came meanwhile; whether the library shall end the call."""
        self._run_pending()
        return self.exception is not None

    # -- after the call

    def _leave(self) -> None:
        while True:
            try:
                _thread.scope = self._outer
                self._give_handlers_back()
                self._run_pending()
                return
            except BaseException as exception:  # of a handler that has been given back
                self.fail(exception)

    def reraise(self) -> None:
        """Raises what a callback or a signal handler raised, if anything."""
        if self.exception is not None:
            try:
                raise self.exception
            finally:
                self.exception = None  # or the frame and the exception's traceback would hold one another

    # -- signals

    def _replace_handlers(self) -> None:
        for number in signal.valid_signals():
            handler = signal.getsignal(number)
            if callable(handler) and handler != self._note:
                self._handlers[number] = handler
                try:
                    signal.signal(number, self._note)
                except ValueError:  # not the main interpreter, which alone handles signals
                    del self._handlers[number]
                    return

    def _note(self, number: int, frame: Any) -> None:
        if self._runs_users_code:
            self._handlers[number](number, frame)
        else:
            self._pending.append(number)

    def _handle(self, number: int) -> None:
        self._handlers[number](number, sys._getframe())

    def _give_handlers_back(self) -> None:
        for number, handler in self._handlers.items():
            if signal.getsignal(number) == self._note:
                signal.signal(number, handler)

    def _run_pending(self) -> None:
        while self._pending:
            number = self._pending.pop(0)
            try:
                self._handle(number)
            except BaseException as error:
                self.fail(error)


def current() -> CallbackScope | None:
    """The innermost scope of this thread."""
    return getattr(_thread, "scope", None)
