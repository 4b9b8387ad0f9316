"""Sums over the shards of a batch, by a Python function."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _abi
from ._array import Array
from ._errors import InvalidArgumentError, raised_in_callback
from ._handle import Owner
from ._library import library

#: Replaces each number by its sum over all shards, in place.
AllReduce = Callable[[Array], Any]

#: What the library may still call: models that share layers share the function, and any of them may live longest.
_kept: list[Any] = []


def set_all_reduce(model: Owner, function: AllReduce | None) -> None:
    """Sets or takes back what sums over the shards."""
    if function is None:
        library().martlet_model_set_all_reduce(model, _abi.martlet_all_reduce(), ctypes.c_void_p())
        return
    if not callable(function):
        raise InvalidArgumentError(f"all_reduce must be a callable or None; got {function!r}")

    def call(sums: Any, count: int, payload: Any) -> int:
        try:
            function(np.ctypeslib.as_array(sums, (count,)))
        except BaseException as error:
            raised_in_callback.exception = error
            return 1
        return 0

    callback = _abi.martlet_all_reduce(call)
    library().martlet_model_set_all_reduce(model, callback, ctypes.c_void_p())
    _kept.append(callback)
