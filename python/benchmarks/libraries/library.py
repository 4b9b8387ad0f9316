"""What a library under test offers: for a workload, its contenders, each ready to answer and to be timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from ..cases import Case


class UnsupportedError(Exception):
    """This library cannot do this workload, or not this way; the message says why."""


@dataclass
class Contender:
    """One way of one library to do one workload.

    Parameters
    ----------
    answer : callable
        Does it once and gives the outputs as NumPy arrays, channels last. Called once, before anything is timed.
    run : callable
        Does it once; returns when the result is there.
    """

    answer: Callable[[], dict[str, Any]]
    run: Callable[[], Any]


#: Variant → what makes its contender. Making may take long (compilers), and may raise UnsupportedError.
Makers = dict[str, Callable[[], Contender]]


class Library:
    """Base of the libraries. A subclass has a method for each kind of workload it can do, named by the kind."""

    name: ClassVar[str]

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def version(self) -> str:
        """With everything that decides its speed."""
        raise NotImplementedError

    def forget(self) -> None:
        """Called between workloads: drops what the library keeps of the one before."""

    def makers(self, case: Case) -> Makers:
        """All its ways to do ``case``; none if it cannot."""
        method = getattr(self, case.kind, None)
        return method(case) if method is not None else {}
