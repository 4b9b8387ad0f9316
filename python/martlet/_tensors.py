"""A model's tensors, by name: parameters, gradients, state."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _abi, _arguments
from ._array import Array, Described, as_array, dtype_of, view
from ._errors import InvalidArgumentError
from ._handle import Owner
from ._library import library

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class LoadResult(NamedTuple):
    """What loading met: the model's tensors that were not given, given ones that it does not have, and those that were read."""

    missing: list[str]
    unexpected: list[str]
    matched: list[str]


def load_result(report: Owner) -> LoadResult:
    """The library's report on a file."""
    loaded = library()

    def part(number: int) -> list[str]:
        count = loaded.martlet_load_report_count(report, number)
        return [loaded.martlet_load_report_name(report, number, index).decode() for index in range(count)]

    return LoadResult(part(_abi.LOAD_MISSING), part(_abi.LOAD_UNEXPECTED), part(_abi.LOAD_MATCHED))


class NamedTensor(NamedTuple):
    """What one tensor of a model is like; its place among them."""

    place: int
    name: str
    is_parameter: bool
    trainable: bool
    shape: tuple[int, ...]
    dtype: Any
    gradient: Array | None


def tensors(owner: Owner) -> list[NamedTensor]:
    """Every tensor of the model, in its order, with a view of its gradient. Inference stays as fast as it was."""
    loaded = library()
    found = []
    info = _abi.sized(_abi.martlet_tensor_info)
    for index in range(loaded.martlet_model_tensor_count(owner)):
        loaded.martlet_model_tensor_spec_at(owner, index, ctypes.byref(info))
        found.append(
            NamedTensor(
                index,
                info.name.decode(),
                info.kind == _abi.PARAMETER,
                bool(info.trainable),
                tuple(info.value.shape[: info.value.rank]),
                dtype_of(info.value),
                view(info.value, owner, info.gradient) if info.gradient else None,
            )
        )
    return found


def value_view(owner: Owner, tensor: NamedTensor) -> Array:
    """The tensor's memory itself. From then on inference looks for changes in every call."""
    info = _abi.sized(_abi.martlet_tensor_info)
    library().martlet_model_tensor_at(owner, tensor.place, ctypes.byref(info))
    return view(info.value, owner)


def read(owner: Owner, tensor: NamedTensor) -> Array:
    """A copy of the tensor's values."""
    out = np.empty(tensor.shape, tensor.dtype)
    library().martlet_model_read_tensor(owner, tensor.name.encode(), Described([out]))
    return out


FLATTEN_ORDERS = {"channels_last": _abi.FLATTEN_CHANNELS_LAST, "channels_first": _abi.FLATTEN_CHANNELS_FIRST}


def _reordered(owner: Owner, name: str, value: Array, source: int, target: int) -> Array:
    """The values of a tensor in another order, in the same memory."""
    out = _abi.martlet_view()
    library().martlet_model_reorder_tensor(ctypes.byref(out), owner, name.encode(), Described([value]), source, target)
    return value.reshape(tuple(out.shape[: out.rank]))


def read_in_order(owner: Owner, tensor: NamedTensor, flatten_order: str) -> Array:
    """A copy of the tensor's values, in the order that is asked for."""
    target = _arguments.one_of(flatten_order, "flatten_order", FLATTEN_ORDERS)
    value = read(owner, tensor)
    return (
        value
        if target == _abi.FLATTEN_CHANNELS_LAST
        else _reordered(owner, tensor.name, value, _abi.FLATTEN_CHANNELS_LAST, target)
    )


def _in_own_order(owner: Owner, arrays: dict[str, Array], given: Mapping[str, Any], flatten_order: str | None) -> None:
    """Puts arrays in the library's order. If none is stated, PyTorch's tensors are refused where it matters."""
    if flatten_order is None:
        nothing = Described([np.empty(0, np.float32)])
        for name, value in given.items():
            if name in arrays and type(value).__module__.split(".")[0] == "torch":
                library().martlet_model_reorder_tensor(
                    None, owner, name.encode(), nothing, _abi.FLATTEN_UNKNOWN, _abi.FLATTEN_CHANNELS_LAST
                )
        return
    source = _arguments.one_of(flatten_order, "flatten_order", FLATTEN_ORDERS)
    if source == _abi.FLATTEN_CHANNELS_FIRST:
        for name, value in arrays.items():
            if value.ndim:
                arrays[name] = _reordered(owner, name, value.copy(order="C"), source, _abi.FLATTEN_CHANNELS_LAST)


def set_tensors(owner: Owner, values: Mapping[str, ArrayLike], strict: bool, flatten_order: str | None = None) -> LoadResult:
    """Writes the tensors, all or none."""
    if not isinstance(values, Mapping):
        raise InvalidArgumentError(f"state_dict must map names to arrays; got a {type(values).__name__}")
    own = [tensor.name for tensor in tensors(owner)]
    known = set(own)
    unexpected = [name for name in values if name not in known]
    missing = [name for name in own if name not in values]
    matched = [name for name in own if name in values]
    if own and values and not matched:
        raise InvalidArgumentError(
            f"state_dict: nothing to load: none of its names is one of the model's. It holds {_some(unexpected)}; "
            f"the model has {_some(own)}. Rename the tensors (a prefix such as 'module.' comes from a wrapper), "
            "or make the model that was saved."
        )
    given = {name: value for name, value in values.items() if strict or name in known}
    read_arrays = {name: as_array(value, f"state_dict[{_arguments.shown(name)}]") for name, value in given.items()}
    known_arrays = {name: value for name, value in read_arrays.items() if name in known}
    _in_own_order(owner, known_arrays, given, flatten_order)
    arrays = Described([known_arrays.get(name, value) for name, value in read_arrays.items()])
    library().martlet_model_set_tensors(owner, names(given), arrays, len(given), int(strict))
    return LoadResult(missing, unexpected, matched)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(map(_arguments.shown, names[:4])) + more


def names(values: Iterable[str]) -> Any:
    """Texts as a C array of strings."""
    encoded = [_arguments.text(name, "name") for name in values]
    return (ctypes.c_char_p * len(encoded))(*encoded)


def text_of(function: Any, *arguments: Any) -> str:
    """The text of a function that ends in (buffer, capacity, *out_length)."""
    length = ctypes.c_size_t()
    function(*arguments, None, 0, ctypes.byref(length))
    buffer = ctypes.create_string_buffer(length.value + 1)
    function(*arguments, buffer, length.value + 1, ctypes.byref(length))
    return buffer.value.decode("utf-8", "replace")
