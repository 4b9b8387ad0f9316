"""Between NumPy arrays and ``martlet_array``: the caller's memory in place where it can be, a conversion where it cannot."""

from __future__ import annotations

import ctypes
import struct
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _abi
from ._errors import DTypeError, InvalidArgumentError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Union

    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[Any]
    #: One array, or a list of them for a model of several inputs or outputs.
    Arrays = Union[ArrayLike, Sequence[ArrayLike]]
else:  # types cost import time and are not needed to run
    Array = Arrays = Any

_CODES: dict[np.dtype[Any], int] = {
    np.dtype(np.float32): _abi.FLOAT32,
    np.dtype(np.float64): _abi.FLOAT64,
    np.dtype(np.int32): _abi.INT32,
    np.dtype(np.int64): _abi.INT64,
    np.dtype(np.uint8): _abi.UINT8,
}
_DTYPES: dict[int, np.dtype[Any]] = {code: dtype for dtype, code in _CODES.items()}

#: Dtypes the library does not read, and one it does that holds all their values.
_WIDER: dict[np.dtype[Any], Any] = {
    np.dtype(np.bool_): np.uint8,
    np.dtype(np.float16): np.float32,
    np.dtype(np.int8): np.int32,
    np.dtype(np.int16): np.int32,
    np.dtype(np.uint16): np.int32,
    np.dtype(np.uint32): np.int64,
}


def as_array(value: Arrays, name: str) -> Array:
    """``value`` as an array of a dtype the library reads, without a copy where that is possible.

    float32, float64, int32, int64 and uint8 pass as they are, with any strides; bool, float16 and the smaller integers are
    converted to one that holds all their values, ``long double`` is rounded to float64, uint64 must fit int64.

    Raises
    ------
    DTypeError
        Complex numbers, objects, text, dates, records, masked arrays.
    """
    if type(value) is np.ndarray and value.dtype in _CODES:
        flags = value.flags
        if flags.aligned and (flags.c_contiguous or flags.f_contiguous):
            return value
    # Not np.ma.MaskedArray: naming it imports numpy.ma, most of the time to a process's first step.
    masked = sys.modules.get("numpy.ma")
    if masked is not None and isinstance(value, masked.MaskedArray):
        raise DTypeError(f"{name} is a masked array; its mask would be lost. Fill it first: {name}.filled(...)")
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        from ._refusals import not_an_array

        raise not_an_array(value, name, error) from None
    if array.dtype.kind in "OUSMmV":
        from ._refusals import numbers_of

        array = numbers_of(value, array, name)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype not in _CODES:
        array = _converted(array, name)
    size = array.itemsize
    if not array.flags.aligned or any(stride % size for stride in array.strides):
        array = array.copy()
    return array


def _converted(array: Array, name: str) -> Array:
    wider = _WIDER.get(array.dtype)
    if wider is not None:
        return array.astype(wider)
    if array.dtype.kind == "f":
        return array.astype(np.float64)
    if array.dtype.kind in "iu":  # platforms have several names for one integer
        if array.dtype.kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
            raise DTypeError(f"{name} holds unsigned integers beyond int64's range; convert it to float64")
        return array.astype(np.int64)
    remedy = "pass real and imaginary parts as two arrays" if array.dtype.kind == "c" else "convert it to float32"
    raise DTypeError(f"{name} has dtype {array.dtype}; expected real numbers (float32 is read in place). Please {remedy}.")


_pointer = ctypes.POINTER(_abi.martlet_array)
_address = ctypes.addressof
_byte = ctypes.c_char.from_buffer

#: A ``martlet_array`` as bytes, which ctypes passes by their address: in a seventh of the time of a structure and its fields.
_packed = struct.Struct("@PPPii").pack


class _Extents:
    """C arrays of shapes and strides that were seen: a call describes a dozen arrays, and programs repeat themselves."""

    #: More are made anew at each call.
    MOST = 1024

    def __init__(self) -> None:
        self._seen: dict[tuple[int, ...], Any] = {}
        #: Dtype -> shape of contiguous arrays with elements -> address of the shape (in ``_seen``), rank, the dtype's code.
        self.forms: dict[Any, dict[tuple[int, ...], tuple[int, int, int]]] = {dtype: {} for dtype in _CODES}

    def of(self, numbers: tuple[int, ...]) -> Any:
        """The numbers as a C array."""
        found = self._seen.get(numbers)
        if found is None:
            found = (ctypes.c_int64 * len(numbers))(*numbers)
            if len(self._seen) < self.MOST:
                self._seen[numbers] = found
        return found

    def remember(self, array: Array) -> None:
        """Puts a contiguous array's form among ``forms``, if its shape is kept."""
        kept = self._seen.get(array.shape)
        if kept is not None and array.size:
            self.forms[array.dtype][array.shape] = (_address(kept), array.ndim, _CODES[array.dtype])


_extents = _Extents()
_float32 = np.dtype(np.float32)
_float32_form = _extents.forms[_float32].get


def _struct(array: Array) -> _abi.martlet_array:
    """The C struct that describes an array; it keeps what it points to, except the array's memory."""
    flags = array.flags
    rank = array.ndim
    shape = _extents.of(array.shape) if rank else None
    strides = None
    if flags.fnc and flags.behaved and rank == 2:  # a transposed matrix: its transpose exports the memory
        strides = _extents.of((1, array.shape[0]))
        return _abi.martlet_array(_address(_byte(array.T)), shape, strides, 2, _CODES[array.dtype])
    if not flags.c_contiguous:
        size = array.itemsize
        strides = _extents.of(tuple([stride // size for stride in array.strides]))
    data = array.__array_interface__["data"][0] if array.size else None
    _extents.remember(array)
    return _abi.martlet_array(data, shape, strides, rank, _CODES[array.dtype])


def reference(array: Array | None) -> Any:
    """What an argument that points to a ``martlet_array`` takes, for an array of a dtype the library reads; NULL for none.

    The array must be kept.
    """
    if array is None:
        return None
    dtype = array.dtype
    form = _float32_form(array.shape) if dtype is _float32 else _extents.forms[dtype].get(array.shape)
    if form is not None:
        try:
            return _packed(_address(_byte(array)), form[0], 0, form[1], form[2])  # type: ignore[arg-type]
        except (TypeError, ValueError):  # read-only, or of that shape, but not contiguous
            pass
    return ctypes.byref(_struct(array))


class Described:
    """Arrays beside the C structs that describe them; holds everything the structs point to.

    ``name`` is what the caller's function calls them in errors; None where they have names of their own.
    """

    __slots__ = ("_as_parameter_", "arrays", "name")

    def __init__(self, arrays: Sequence[Array], name: str | None = None) -> None:
        self.name = name
        self.arrays = arrays = list(arrays)
        if len(arrays) == 1:
            self._as_parameter_ = reference(arrays[0])
        else:
            structs = (_abi.martlet_array * len(arrays))(*[_struct(array) for array in arrays])
            self._as_parameter_ = ctypes.cast(structs, _pointer)

    def __len__(self) -> int:
        return len(self.arrays)

    def pointer(self) -> Any:
        """What a struct's field takes in place of a function's argument."""
        return ctypes.cast(self._as_parameter_, _pointer)


def describe(value: ArrayLike, name: str) -> Described:
    """One input array, described."""
    return Described([as_array(value, name)], name)


def describe_optional(value: ArrayLike | None, name: str) -> Described | None:
    """One input array that may be left out."""
    return None if value is None else describe(value, name)


def as_optional_array(value: ArrayLike | None, name: str) -> Array | None:
    """:func:`as_array` of one that may be left out."""
    return None if value is None else as_array(value, name)


def describe_all(value: Arrays, count: int, name: str) -> Described:
    """``count`` input arrays: the array itself for one, a list or tuple of that many for several."""
    if count == 1:
        return Described([as_array(value, name)], name)
    if not isinstance(value, (list, tuple)):
        raise InvalidArgumentError(f"{name} must be a list of {count} arrays; got a {type(value).__name__}")
    if len(value) != count:
        raise InvalidArgumentError(f"{name} must be a list of {count} arrays; got {len(value)}")
    return Described([as_array(item, f"{name}[{index}]") for index, item in enumerate(value)], name)


def describe_targets(value: Arrays, count: int, name: str) -> Described:
    """:func:`describe_all` of targets, where text is taken for the names of classes."""
    try:
        return describe_all(value, count, name)
    except DTypeError:
        items: Any = [value] if count == 1 else value
        for array in map(np.asarray, items):
            if array.dtype.kind in "US" or (array.dtype.kind == "O" and array.size and isinstance(array.flat[0], str)):
                raise DTypeError(
                    f"{name} holds text; expected integer labels 0 ... classes - 1. "
                    f"Number the classes, for example with np.unique({name}, return_inverse=True)[1]"
                ) from None
        raise


def rows_of(described: Described, name: str) -> int:
    """The first dimension of the first array."""
    array = described.arrays[0]
    if array.ndim == 0:
        raise ShapeError(f"{name} has shape []; expected a batch, whose first axis counts the rows")
    return int(array.shape[0])


class _Memory:
    """Memory of the library as NumPy's array interface sees it; holds its owner."""

    __slots__ = ("__array_interface__", "owner")

    def __init__(self, owner: object, interface: dict[str, Any]) -> None:
        self.owner = owner
        self.__array_interface__ = interface


def dtype_of(source: _abi.martlet_view) -> Any:
    """Its dtype in NumPy's words."""
    return _DTYPES[source.dtype]


def view(source: _abi.martlet_view, owner: object, data: int | None = None) -> Array:
    """A writable array on the library's memory, which keeps ``owner`` alive.

    data: another address of the same shape and strides (a gradient beside its value).
    """
    dtype = _DTYPES[source.dtype]
    shape = tuple(source.shape[: source.rank])
    address = source.data if data is None else data
    if not address or 0 in shape:
        return np.empty(shape, dtype)
    interface = {
        "version": 3,
        "shape": shape,
        "typestr": dtype.str,
        "data": (address, False),
        "strides": tuple(stride * dtype.itemsize for stride in source.strides[: source.rank]),
    }
    return np.asarray(_Memory(owner, interface))


def as_output(shape: tuple[int, ...], out: Array | None = None, name: str = "out") -> Array:
    """A new float32 array that the library will fill, or the caller's own, checked.

    What is given back is a plain array: of a subclass, whose properties may say anything, a view of its memory.
    """
    if out is None:
        return np.empty(shape, np.float32)
    if type(out) is not np.ndarray:
        out = _plain(out, name)
    if out.dtype != np.float32 or not out.flags.c_contiguous or not out.flags.writeable:
        raise InvalidArgumentError(f"{name} must be a writable, contiguous NumPy array of float32")
    if out.shape != shape:
        raise ShapeError(f"{name} has shape {list(out.shape)}; expected {list(shape)}")
    return out


def _plain(out: Any, name: str) -> Array:
    """The memory of an instance of a subclass, described by NumPy itself."""
    if not issubclass(type(out), np.ndarray):  # not isinstance, which believes the object's word
        raise InvalidArgumentError(f"{name} must be a writable, contiguous NumPy array of float32; got a {type(out).__name__}")
    masked = sys.modules.get("numpy.ma")
    if masked is not None and issubclass(type(out), masked.MaskedArray):
        raise DTypeError(f"{name} is a masked array, whose mask would not fit the result. Give its data: {name}.data")
    return np.ndarray.view(out, np.ndarray)


def described_output(shape: tuple[int, ...], out: Array | None = None, name: str = "out") -> Described:
    """:func:`as_output`, described."""
    return Described([as_output(shape, out, name)])
