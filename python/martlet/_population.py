"""Batches of a Python iterable, handed to the library one by one."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator
from typing import Any

from . import _abi
from ._array import Arrays, Described, describe_all
from ._callbacks import CallbackScope
from ._errors import InvalidArgumentError
from ._handle import Owner
from ._library import library

#: Name -> number in the C API.
POPULATION_METHODS = {"sequential": _abi.POPULATION_SEQUENTIAL, "one_pass": _abi.POPULATION_ONE_PASS}

_END: Any = object()


class _Batches:
    """What the library calls for each batch. Never raises: an exception is kept for :func:`update_from_batches`."""

    def __init__(self, batches: Iterable[Arrays], input_count: int) -> None:
        self._batches = batches
        self._input_count = input_count
        self._pass: Iterator[Arrays] = iter(())
        #: The batch that the library reads at present.
        self._present: Described | None = None
        self.scope = CallbackScope()

    def __call__(self, number: int, index: int, out: Any, payload: Any) -> int:
        try:
            if index == 0:
                self._pass = self.scope.run(iter, self._batches)
            batch = self.scope.run(next, self._pass, _END)
            if batch is _END:
                self._present = None
                return int(self.scope.stops())
            self._present = describe_all(batch, self._input_count, "batch")
            out[0] = self._present.pointer()
        except BaseException as error:
            self.scope.fail(error)
        return int(self.scope.stops())


def update_from_batches(model: Owner, method: int, batches: Iterable[Arrays], input_count: int) -> None:
    """Population statistics of batches as they come; an exception of the iterable rises from here."""
    if method == POPULATION_METHODS["sequential"] and iter(batches) is batches:
        raise InvalidArgumentError(
            'batches is an iterator, which can be gone through once; method "sequential" needs a pass for each batch norm. '
            'Give a list or another iterable, or method="one_pass"'
        )
    source = _Batches(batches, input_count)
    callback = _abi.martlet_batch_callback(source)
    with source.scope as scope:
        library().martlet_model_update_population_statistics_from(model, method, callback, ctypes.c_void_p())
    scope.reraise()
