"""The errors of this package: one class for each status of the C library.

Each class also derives from the built-in error that Python programs expect in its place, so ``except ValueError`` catches a bad
argument without knowing Martlet.
"""

from __future__ import annotations

from typing import Any


class MartletError(Exception):
    """Base of every error this package raises on its own account."""


class InvalidArgumentError(MartletError, ValueError):
    """A value outside its range, or an unknown name."""


class ShapeError(MartletError, ValueError):
    """A rank or dimension that does not fit."""


class InvalidStateError(MartletError, RuntimeError):
    """The right call at the wrong moment: backward before forward, any use after ``close()``."""


class UnsupportedError(MartletError):
    """Something that this build or this machine does not have."""


class DTypeError(UnsupportedError, TypeError):
    """An array of a dtype that holds no real numbers."""


class FileError(MartletError, OSError):
    """The file system said no."""


class CorruptFileError(MartletError, ValueError):
    """The file is not a whole, honest model."""


class OutOfMemoryError(MartletError, MemoryError):
    """The memory asked for is not to be had."""


class CancelledError(MartletError):
    """A callback asked to stop."""


class InternalError(MartletError, RuntimeError):
    """A defect of this library; please report it."""


class NonFiniteError(MartletError, ArithmeticError):
    """A loss, gradient, parameter or statistic became NaN or infinite; what would have stored it was not done."""


class LibraryNotFoundError(MartletError, ImportError):
    """The native library is missing, or is not of this package's version."""


# Users catch martlet.ShapeError: tracebacks and pickles name the class as they do.
for _class in [value for value in list(globals().values()) if isinstance(value, type) and issubclass(value, MartletError)]:
    _class.__module__ = "martlet"

#: Status number of the C API -> class.
ERRORS: dict[int, type[MartletError]] = {
    1: InvalidArgumentError,
    2: ShapeError,
    3: InvalidStateError,
    4: UnsupportedError,
    5: FileError,
    6: CorruptFileError,
    7: OutOfMemoryError,
    8: CancelledError,
    9: InternalError,
    10: NonFiniteError,
}


def raise_for_status(status: int, function: Any, arguments: Any) -> int:
    """The ``errcheck`` of every function that returns a status: raises its error with the library's own words."""
    if status == 0:
        return 0
    from ._library import library
    from ._words import in_python

    message = library().martlet_last_error_message().decode("utf-8", "replace")
    error = ERRORS.get(status, InternalError)
    raise error(
        in_python(message, function.__name__, arguments)
        or f"{function.__name__} failed with status {status} and gave no message"
    )
