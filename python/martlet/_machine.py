"""The machine: threads and instruction sets."""

from __future__ import annotations

import ctypes

from . import _abi
from ._arguments import integer
from ._library import library


def set_num_threads(count: int) -> None:
    """Sets how many threads the library computes with, the caller's included (1 to 1024).

    Results do not depend on it, to the bit. Where the system refuses to start so many threads, fewer compute.

    Examples
    --------
    >>> import martlet
    >>> martlet.set_num_threads(2)
    >>> martlet.num_threads()
    2
    """
    library().martlet_set_num_threads(integer(count, "count", 1, _abi.MAX_THREADS))


def num_threads() -> int:
    """How many threads the library computes with.

    It starts as ``$MARTLET_NUM_THREADS``; where that is not set, as the first number of ``$OMP_NUM_THREADS``; else as the
    number of processors this process may use, but no more than its control groups (a container's quota) give it time for,
    rounded up. A ``$MARTLET_NUM_THREADS`` that is not a number from 1 to 1024 is an error of everything that computes.
    """
    return int(library().martlet_num_threads())


def isa() -> str:
    """The instruction set in use: ``"avx512"``, ``"avx2"`` or ``"baseline"``. ``$MARTLET_ISA``, read once, forces one.

    Raises
    ------
    UnsupportedError
        ``$MARTLET_ISA`` names a set that is unknown or cannot run here.
    """
    name = ctypes.c_char_p()
    library().martlet_isa(ctypes.byref(name))
    return (name.value or b"").decode()


def available_isas() -> list[str]:
    """The instruction sets that run on this machine, best first.

    Examples
    --------
    >>> import martlet
    >>> martlet.available_isas()[-1]
    'baseline'
    """
    loaded = library()
    return [loaded.martlet_available_isa(index).decode() for index in range(loaded.martlet_available_isa_count())]
