"""Checked conversion of plain arguments: ctypes would cut a large number to size, or stop a text at a NUL, silently."""

from __future__ import annotations

import ctypes
import math
import operator
import os
from typing import TYPE_CHECKING, Any

from ._errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1
UINT64_MAX = 2**64 - 1


#: Linux's PATH_MAX; no system opens a longer one.
_LONGEST_PATH = 4096
#: The most characters of a caller's value that an error message quotes.
_MOST_SHOWN = 200


def shown(value: Any) -> str:
    """``value`` as an error message quotes it: its ``repr``, or the beginning and how much there is."""
    if isinstance(value, (str, bytes, bytearray)):
        unit = "characters" if isinstance(value, str) else "bytes"
        return repr(value) if len(value) <= _MOST_SHOWN else f"{value[:60]!r}... ({len(value)} {unit})"
    if isinstance(value, (list, tuple, set, frozenset, dict)) and len(value) > _MOST_SHOWN:
        return f"a {type(value).__name__} of {len(value)} items"
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "..."


def integer(value: Any, name: str, minimum: int = 0, maximum: int = INT64_MAX) -> int:
    """``value`` as an int in ``minimum ... maximum``."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise InvalidArgumentError(f"{name} must be a whole number; got {shown(value)} ({type(value).__name__})")
    if not minimum <= number <= maximum:
        limit = f"at least {minimum}" if number < minimum else f"at most {maximum}"
        raise InvalidArgumentError(f"{name} must be {limit}; got {number}")
    return number


def real(value: Any, name: str) -> float:
    """``value`` as a float; ranges are the library's to check."""
    if not isinstance(value, (str, bytes)):
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            pass
    raise InvalidArgumentError(f"{name} must be a number; got {shown(value)} ({type(value).__name__})")


def float32(value: Any, name: str) -> float:
    """``value`` as a float that C's ``float`` can hold: ctypes would make a larger one infinite."""
    number = real(value, name)
    if math.isfinite(number) and math.isinf(ctypes.c_float(number).value):
        raise InvalidArgumentError(f"{name}: expected a number within float32's range, up to 3.4028235e+38; got {number}")
    return number


def flag(value: Any, name: str) -> int:
    """``value`` as 0 or 1: a bool, 0 or 1, NumPy's included."""
    if (isinstance(value, int) or type(value).__name__ in ("bool_", "bool")) and value in (0, 1):
        return int(value)
    raise InvalidArgumentError(f"{name} must be True or False; got {shown(value)} ({type(value).__name__})")


def text(value: Any, name: str) -> bytes:
    """``value`` as UTF-8 without a NUL inside."""
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{name} must be a str; got {shown(value)} ({type(value).__name__})")
    if "\0" in value:
        raise InvalidArgumentError(f"{name} must not hold a NUL character; got {shown(value)}")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise InvalidArgumentError(f"{name} must be text that UTF-8 can hold; got {shown(value)}") from None


def file_path(value: Any, name: str = "path") -> bytes:
    """``value`` (str, bytes or path object) as the file system's bytes."""
    try:
        path = os.fsencode(value)
    except TypeError:
        raise InvalidArgumentError(
            f"{name} must be a str, bytes or path object; got {shown(value)} ({type(value).__name__})"
        ) from None
    if len(path) > _LONGEST_PATH:
        raise InvalidArgumentError(
            f"{name}: expected the path of a file, of at most {_LONGEST_PATH} bytes; got {shown(value)}. "
            "If these are the contents of a file, write them to one and give its path."
        )
    if b"\0" in path:
        raise InvalidArgumentError(f"{name} must not hold a NUL character; got {shown(value)}")
    return path


def one_of(value: Any, name: str, choices: dict[str, int]) -> int:
    """The number that stands for one of the names."""
    if not isinstance(value, str) or value not in choices:
        known = ", ".join(repr(choice) for choice in choices)
        raise InvalidArgumentError(f"{name} must be one of {known}; got {shown(value)}")
    return choices[value]


def some(items: Iterable[object], separator: str = ", ", most: int = 5) -> str:
    """The first few of a list, and how many more there are: a message stays readable however long the list is."""
    shown = [str(item) for item in items]
    more = len(shown) - most
    return separator.join(shown[:most]) + (f" and {more} more" if more > 0 else "")


def shape(value: Any, name: str = "shape", minimum: int = 0) -> Any:
    """A tuple of dimensions (or a single one) as a C array; its length is the rank."""
    try:
        dimensions = tuple(value)
    except TypeError:
        dimensions = (value,)
    checked = [integer(dimension, f"{name}[{axis}]", minimum) for axis, dimension in enumerate(dimensions)]
    return (ctypes.c_int64 * len(checked))(*checked)
