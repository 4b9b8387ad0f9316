"""Predicting: the short way for contiguous float32 rows, the general one for everything else."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _abi, _arguments
from ._array import Array, Arrays, Described, as_output, describe_all, rows_of
from ._errors import InvalidArgumentError, raise_for_status
from ._library import library

if TYPE_CHECKING:
    from ._handle import Owner

_FLOAT32 = np.dtype(np.float32)
_empty = np.empty
#: The first float of a writeable array, which ctypes passes by reference: quicker than asking NumPy for the address.
_float_of: Any = ctypes.c_float.from_buffer


class Inference:
    """What is the same in every call of one model's ``predict``, looked up once.

    A single row is computed in microseconds, so the way there must not take longer.
    """

    __slots__ = ("_one_input", "_one_output", "_predict", "_predict_rows", "input_shapes", "output_shapes")

    def __init__(self, input_shapes: list[tuple[int, ...]], output_shapes: list[tuple[int, ...]]) -> None:
        self.input_shapes = input_shapes
        self.output_shapes = output_shapes
        self._predict = library().martlet_model_predict
        # A function object of its own, whose status is looked at in place.
        self._predict_rows = library()["martlet_model_predict_rows"]
        self._predict_rows.restype, self._predict_rows.argtypes, _ = _abi.FUNCTIONS["martlet_model_predict_rows"]
        both_single = len(input_shapes) == len(output_shapes) == 1
        self._one_input = input_shapes[0] if both_single else None
        self._one_output = output_shapes[0] if both_single else ()

    def __call__(self, owner: Owner, x: Arrays, batch_size: int | None, out: Any) -> Any:
        """The arguments are those of ``Model.predict``."""
        if (
            batch_size is None
            and type(x) is np.ndarray
            and x.dtype is _FLOAT32
            and x.flags.carray  # contiguous, aligned, writeable
            and x.size
            and x.shape[1:] == self._one_input
        ):
            rows = len(x)
            shape = (rows, *self._one_output)
            result = _empty(shape, _FLOAT32) if out is None else as_output(shape, out)
            if out is None or result.flags.carray:
                status = self._predict_rows(owner, _float_of(x), rows, _float_of(result))
                if status:
                    raise_for_status(status, self._predict_rows, None)
                return result
        return self._any(owner, x, batch_size, out)

    def _any(self, owner: Owner, x: Arrays, batch_size: int | None, out: Any) -> Any:
        inputs = describe_all(x, len(self.input_shapes), "x")
        size = 0 if batch_size is None else _arguments.integer(batch_size, "batch_size", 1)
        rows = rows_of(inputs, "x")
        outputs = [as_output((rows, *shape), given, name) for shape, (given, name) in zip(self.output_shapes, self._given(out))]
        self._predict(owner, inputs, len(inputs), size, Described(outputs), len(outputs))
        return outputs[0] if len(outputs) == 1 else outputs

    def _given(self, out: Any) -> list[tuple[Array | None, str]]:
        """The caller's memory for each output, with its name for messages."""
        count = len(self.output_shapes)
        if count == 1:
            return [(out, "out")]
        if out is None:
            return [(None, "")] * count
        if not isinstance(out, (list, tuple)) or len(out) != count:
            raise InvalidArgumentError(f"out must be a list of {count} arrays, one for each output")
        return [(array, f"out[{index}]") for index, array in enumerate(out)]
