"""Sums over the shards of a batch, by a Python function."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _abi, _arguments
from ._array import Array
from ._callbacks import CallbackScope, current
from ._errors import InvalidArgumentError
from ._handle import Owner
from ._library import library

#: Replaces each number by its sum over all shards, in place.
AllReduce = Callable[[Array], Any]


class KeptCallback:
    """What the library may call for models that share layers. They and their trainers hold this, and it goes with the last."""

    __slots__ = ("_callback",)

    def __init__(self) -> None:
        self._callback: Any = None

    def set(self, model: Owner, function: AllReduce | None) -> None:
        """Sets or takes back what sums over the shards; after an error what was there stays."""
        if function is not None and not callable(function):
            raise InvalidArgumentError(f"all_reduce must be a callable or None; got {_arguments.shown(function)}")
        callback = _abi.martlet_all_reduce() if function is None else _abi.martlet_all_reduce(_in_place(function))
        library().martlet_model_set_all_reduce(model, callback, ctypes.c_void_p())
        self._callback = None if function is None else callback

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Calls a function of the library that may call the user's function back, and raises what that raises."""
        if self._callback is None:
            function(*arguments)
            return
        with CallbackScope() as scope:
            function(*arguments)
        scope.reraise()


def _in_place(function: AllReduce) -> Callable[[Any, int, Any], int]:
    def call(sums: Any, count: int, payload: Any) -> int:
        scope = current()
        if scope is None:  # every call that may come here has one
            return 1
        try:
            theirs = np.ctypeslib.as_array(sums, (count,))
            # A copy: the function may keep what it was given for longer than the library's memory is there.
            own = theirs.copy()
            returned = scope.run(function, own)
            if returned is not own and (isinstance(returned, (list, tuple)) or hasattr(returned, "__array__")):
                raise InvalidArgumentError(
                    "all_reduce: expected the sums in place, as in sums[:] = total; "
                    f"got another {type(returned).__name__} back. Return nothing."
                )
            if own.shape != theirs.shape or own.dtype != theirs.dtype:
                raise InvalidArgumentError(
                    f"all_reduce: expected {count} float64 numbers in place; got the array back as {own.dtype} "
                    f"{list(own.shape)}. Write to its elements and leave its shape and dtype as they are."
                )
            theirs[:] = own
        except BaseException as error:
            scope.fail(error)
        return int(scope.stops())

    return call
