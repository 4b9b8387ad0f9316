"""Arguments of layers whose window slides over images or sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Union

from .. import _abi, _arguments
from .._errors import InvalidArgumentError

if TYPE_CHECKING:
    Pair = tuple[int, int]
    #: "valid", "same", or what is given on each side.
    Sides = Union[str, tuple[Pair, Pair]]
    SequenceSides = Union[str, Pair]
else:  # Python 3.9 cannot join these at run time, and nothing needs them then
    Pair = Sides = SequenceSides = Any

_PADDINGS = {"valid": _abi.PADDING_VALID, "same": _abi.PADDING_SAME}


def as_pair(value: Any, name: str, minimum: int = 1) -> Pair:
    """A height and a width: one number for both, or two."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise InvalidArgumentError(
                f"{name} must be a whole number, or a pair of them (height, width); got {_arguments.shown(value)}"
            )
        first, second = (_arguments.integer(part, f"{name}[{index}]", minimum) for index, part in enumerate(value))
        return first, second
    number = _arguments.integer(value, name, minimum)
    return number, number


def shown_pair(value: Any) -> Any:
    """The shortest way to write a pair."""
    return value[0] if isinstance(value, tuple) and value[0] == value[1] else value


def as_sides(value: Any, name: str = "padding") -> Sides:
    """``"valid"``, ``"same"``, one number for the four sides, or ``((top, bottom), (left, right))``."""
    if isinstance(value, str):
        _arguments.one_of(value, name, _PADDINGS)
        return value
    if isinstance(value, (tuple, list)):
        if len(value) != 2 or not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in value):
            raise InvalidArgumentError(
                f'{name} must be "valid", "same", a whole number or ((top, bottom), (left, right)); '
                f"got {_arguments.shown(value)}"
            )
        return as_pair(value[0], f"{name}[0]", 0), as_pair(value[1], f"{name}[1]", 0)
    number = _arguments.integer(value, name, 0)
    return (number, number), (number, number)


def as_sequence_padding(value: Any) -> SequenceSides:
    """``"valid"``, ``"same"``, one number for both ends, or ``(left, right)``."""
    if isinstance(value, str):
        _arguments.one_of(value, "padding", _PADDINGS)
        return value
    if isinstance(value, (tuple, list)) and len(value) != 2:
        raise InvalidArgumentError(
            f'padding must be "valid", "same", a whole number or (left, right); got {_arguments.shown(value)}'
        )
    return as_pair(value, "padding", 0)


def padding_fields(value: Any) -> dict[str, Any]:
    """The fields of the library's structs."""
    if isinstance(value, str):
        return {"padding": _PADDINGS[value]}
    (top, bottom), (left, right) = value if isinstance(value[0], tuple) else ((0, 0), value)
    return {"padding": _abi.PADDING_EXPLICIT, "pads": (top, bottom, left, right)}
