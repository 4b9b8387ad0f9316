"""Tensors: arrays in the library's memory, with its arithmetic."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from . import _abi, _arguments
from ._array import Array, describe, view
from ._errors import InvalidArgumentError, ShapeError
from ._handle import Handle, Owner
from ._library import library

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    Operand = Union["Tensor", ArrayLike]


class Tensor(Handle):
    """A contiguous float32 array that the library owns.

    Parameters
    ----------
    source : array
        Copied, and converted to float32.

    Notes
    -----
    Binary operators take another tensor, an array or a number. Shapes: equal, or one of the two is ``[C]`` beside
    ``[..., C]``, or has a single element.

    Examples
    --------
    >>> from martlet import Tensor
    >>> a = Tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> (a * 2 + [1.0, 0.0]).numpy()
    array([[3., 4.],
           [7., 8.]], dtype=float32)
    >>> (a @ a).sum().item()
    54.0
    >>> a.numpy()[0, 0] = 5      # the memory itself
    >>> a[0, 0]
    5.0
    """

    __array_priority__ = 100.0  # array + tensor is the tensor's business

    def __init__(self, source: ArrayLike) -> None:
        out = _pointer()
        library().martlet_tensor_create(ctypes.byref(out), describe(source, "source"))
        self._adopt(out)

    def _adopt(self, pointer: Any) -> None:
        self._owner = Owner(pointer, library().martlet_tensor_destroy)
        self._shape: tuple[int, ...] | None = None

    @staticmethod
    def filled(shape: int | Sequence[int], value: float) -> Tensor:
        """Every element ``value``."""
        dimensions = _arguments.shape(shape)
        return _new("martlet_tensor_create_filled", len(dimensions), dimensions, _arguments.float32(value, "value"))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled and copied by value: the other tensor has memory of its own."""
        return Tensor, (self.numpy().copy(),)

    # -- what it is --

    def numpy(self) -> Array:
        """A writable view of the memory itself; it keeps the memory alive."""
        return _view_of(self._open())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        array = self.numpy()
        if dtype is not None and np.dtype(dtype) != array.dtype:
            if copy is False:
                raise ValueError(f"a Tensor is float32; as {np.dtype(dtype)} it cannot be had without a copy")
            return array.astype(dtype)
        return array.copy() if copy else array

    @property
    def shape(self) -> tuple[int, ...]:
        """The dimensions."""
        owner = self._open()
        if self._shape is None:  # not before somebody asks: a small product takes less time than an array for its result
            self._shape = _view_of(owner).shape
        return self._shape

    def __len__(self) -> int:
        if not self.shape:
            raise ShapeError("a tensor of rank 0 has no length")
        return int(self.shape[0])

    def item(self) -> float:
        """The value of a tensor of one element."""
        if self.numpy().size != 1:
            raise ShapeError(f"item() needs one element; the tensor has shape {list(self.shape)}")
        return float(self.numpy().reshape(())[()])

    def __getitem__(self, index: int | tuple[int, ...]) -> float:
        """The element at ``index``, one number for each axis; for slices take ``.numpy()``."""
        out = ctypes.c_float()
        library().martlet_tensor_get(self._open(), self._index(index), ctypes.byref(out))
        return out.value

    def __setitem__(self, index: int | tuple[int, ...], value: float) -> None:
        library().martlet_tensor_set(self._open(), self._index(index), _arguments.float32(value, "value"))

    def _index(self, index: int | tuple[int, ...]) -> Any:
        numbers = index if isinstance(index, tuple) else (index,)
        if len(numbers) != len(self.shape):
            raise ShapeError(f"the index has {len(numbers)} numbers; the tensor has {len(self.shape)} axes")
        checked = []
        for axis, number in enumerate(numbers):
            position = _arguments.integer(number, f"index[{axis}]", -self.shape[axis], max(self.shape[axis] - 1, 0))
            checked.append(position + self.shape[axis] if position < 0 else position)
        return (ctypes.c_int64 * len(checked))(*checked)

    def __repr__(self) -> str:
        return "Tensor(closed)" if self.closed else f"Tensor({np.array2string(self.numpy(), separator=', ')})"

    def reshape(self, shape: int | Sequence[int]) -> Tensor:
        """The same elements under another shape of as many; a copy."""
        dimensions = _arguments.shape(shape)
        return _new("martlet_tensor_reshape", self._open(), len(dimensions), dimensions)

    # -- arithmetic --

    def _binary(self, code: int, other: Operand, swapped: bool = False) -> Tensor:
        b = _as_tensor(other)
        first, second = (b, self) if swapped else (self, b)
        return _new("martlet_tensor_binary", code, first._open(), second._open())

    def __add__(self, other: Operand) -> Tensor:
        return self._binary(_abi.ADD, other)

    def __radd__(self, other: Operand) -> Tensor:
        return self._binary(_abi.ADD, other, swapped=True)

    def __sub__(self, other: Operand) -> Tensor:
        return self._binary(_abi.SUBTRACT, other)

    def __rsub__(self, other: Operand) -> Tensor:
        return self._binary(_abi.SUBTRACT, other, swapped=True)

    def __mul__(self, other: Operand) -> Tensor:
        return self._binary(_abi.MULTIPLY, other)

    def __rmul__(self, other: Operand) -> Tensor:
        return self._binary(_abi.MULTIPLY, other, swapped=True)

    def __truediv__(self, other: Operand) -> Tensor:
        return self._binary(_abi.DIVIDE, other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return self._binary(_abi.DIVIDE, other, swapped=True)

    def __matmul__(self, other: Operand) -> Tensor:
        return self.matmul(other)

    def __rmatmul__(self, other: Operand) -> Tensor:
        return _as_tensor(other).matmul(self)

    def matmul(self, other: Operand, *, transpose_a: bool = False, transpose_b: bool = False) -> Tensor:
        """Matrix product of this (transposed with ``transpose_a``) and ``other``: ``[m, k]`` and ``[k, n]`` give ``[m, n]``."""
        flags = (_arguments.flag(transpose_a, "transpose_a"), _arguments.flag(transpose_b, "transpose_b"))
        return _new("martlet_tensor_matmul", self._open(), _as_tensor(other)._open(), *flags)

    def maximum(self, other: Operand) -> Tensor:
        """The larger of the two, element by element."""
        return self._binary(_abi.MAXIMUM, other)

    def minimum(self, other: Operand) -> Tensor:
        """The smaller of the two, element by element."""
        return self._binary(_abi.MINIMUM, other)

    def _unary(self, code: int) -> Tensor:
        return _new("martlet_tensor_unary", code, self._open())

    def __neg__(self) -> Tensor:
        return self._unary(_abi.NEGATE)

    def __abs__(self) -> Tensor:
        return self._unary(_abi.ABSOLUTE)

    def square(self) -> Tensor:
        """``x²``."""
        return self._unary(_abi.SQUARE)

    def sqrt(self) -> Tensor:
        """``√x``."""
        return self._unary(_abi.SQUARE_ROOT)

    def exp(self) -> Tensor:
        """``eˣ``."""
        return self._unary(_abi.EXPONENTIAL)

    def log(self) -> Tensor:
        """The natural logarithm."""
        return self._unary(_abi.LOGARITHM)

    def _activation(self, code: int) -> Tensor:
        return _new("martlet_tensor_activation", code, self._open())

    def sigmoid(self) -> Tensor:
        """``1 / (1 + e⁻ˣ)``."""
        return self._activation(_abi.SIGMOID)

    def tanh(self) -> Tensor:
        """The hyperbolic tangent."""
        return self._activation(_abi.TANH)

    def relu(self) -> Tensor:
        """``max(x, 0)``."""
        return self._activation(_abi.RELU)

    def softmax(self) -> Tensor:
        """Over the last axis: ``e^(x − max) / Σ e^(x − max)``."""
        return _new("martlet_tensor_softmax", self._open())

    # -- reductions --

    def _reduce(self, code: int, axis: int | None) -> Tensor:
        limit = _arguments.INT32_MAX - 1
        checked = _abi.ALL_AXES if axis is None else _arguments.integer(axis, "axis", -limit, limit)
        return _new("martlet_tensor_reduce", code, self._open(), checked)

    def sum(self, axis: int | None = None) -> Tensor:
        """The sum over one axis (negative: from the end), or over all."""
        return self._reduce(_abi.SUM, axis)

    def mean(self, axis: int | None = None) -> Tensor:
        """The mean over one axis, or over all."""
        return self._reduce(_abi.MEAN, axis)

    def max(self, axis: int | None = None) -> Tensor:
        """The largest along one axis, or of all."""
        return self._reduce(_abi.REDUCE_MAXIMUM, axis)

    def min(self, axis: int | None = None) -> Tensor:
        """The smallest along one axis, or of all."""
        return self._reduce(_abi.REDUCE_MINIMUM, axis)


def _pointer() -> Any:
    return ctypes.POINTER(_abi.martlet_tensor)()


def _view_of(owner: Owner) -> Array:
    out = _abi.martlet_view()
    library().martlet_tensor_view(owner, ctypes.byref(out))
    return view(out, owner)


def _new(function: str, *arguments: Any) -> Tensor:
    """A tensor made by a function of the library."""
    out = _pointer()
    getattr(library(), function)(ctypes.byref(out), *arguments)
    tensor = Tensor.__new__(Tensor)
    tensor._adopt(out)
    return tensor


def _as_tensor(value: Operand) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if value is None or isinstance(value, str):
        raise InvalidArgumentError(f"a Tensor computes with tensors, arrays and numbers; got {_arguments.shown(value)}")
    return Tensor(value)
