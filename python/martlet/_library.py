"""Finds, checks and opens the native library, once, at its first use."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from typing import Any

from . import _abi
from ._errors import LibraryNotFoundError

FILE_NAME = "libmartlet.dylib" if sys.platform == "darwin" else "libmartlet.so"

_lock = threading.Lock()
_loaded: Any = None
_path: str = ""


def library() -> Any:
    """The native library with every function of :data:`martlet._abi.FUNCTIONS` typed.

    Raises
    ------
    LibraryNotFoundError
        Nothing could be opened (the message lists every path tried, and why), or its version is not this package's.
    """
    global _loaded, _path
    if _loaded is None:
        with _lock:
            if _loaded is None:
                found, _path = _open(candidates())
                _loaded = _typed(found, _path)
    return _loaded


def path() -> str:
    """The file that was opened."""
    library()
    return _path


def candidates() -> list[str]:
    """Where the library may be, best first: ``$MARTLET_LIBRARY`` alone if set, else the package's own, else a checkout's.

    Absolute paths, so that the file that is looked at is the file that is opened: the dynamic linker searches for a bare name
    elsewhere. A relative ``$MARTLET_LIBRARY`` counts from the current directory.
    """
    forced = os.environ.get("MARTLET_LIBRARY")
    if forced:
        return [os.path.abspath(forced)]
    here = os.path.dirname(os.path.abspath(__file__))
    checkout = os.path.dirname(os.path.dirname(here))
    return [
        os.path.join(here, "_native", FILE_NAME),
        os.path.join(checkout, ".build", "release", FILE_NAME),
        os.path.join(checkout, ".build", "debug", FILE_NAME),
    ]


def _open(paths: list[str]) -> tuple[ctypes.CDLL, str]:
    reasons = []
    for candidate in paths:
        if not os.path.isfile(candidate):
            reasons.append(f"  {candidate}: no such file")
            continue
        try:
            return ctypes.CDLL(candidate), candidate
        except OSError as error:
            reasons.append(f"  {candidate}: {error}")
    raise LibraryNotFoundError(
        "Martlet's native library was not found. Tried:\n"
        + "\n".join(reasons)
        + "\nInstall the package (pip install ./python), build a checkout's library "
        "(swift build -c release --product martlet), or set MARTLET_LIBRARY to the file."
    )


def _typed(found: ctypes.CDLL, where: str) -> ctypes.CDLL:
    """Checks the version and gives every function its types."""
    try:
        abi = int(found.martlet_abi_version())
    except AttributeError:
        raise LibraryNotFoundError(f"{where} is not Martlet's library: it has no martlet_abi_version") from None
    if abi != _abi.ABI_VERSION:
        raise LibraryNotFoundError(
            f"{where} has ABI version {abi}; this package needs {_abi.ABI_VERSION}. "
            "Install library and package from the same release."
        )
    for name, (result, arguments, check) in _abi.FUNCTIONS.items():
        try:
            function = getattr(found, name)
        except AttributeError:
            raise LibraryNotFoundError(f"{where} lacks {name}; install library and package from the same release") from None
        function.restype = result
        function.argtypes = arguments
        if check is not None:
            function.errcheck = check
    return found
