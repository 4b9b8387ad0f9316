"""Ownership of the library's objects."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

from ._errors import InvalidStateError

if TYPE_CHECKING:
    from collections.abc import Callable

Self = TypeVar("Self", bound="Handle")


class Owner:
    """One object of the library; it is destroyed when the last reference to this goes.

    Passed to a ctypes function as it stands, so a call in progress holds the object, as does every array view of its memory:
    closing a handle while another thread computes, or while a view is alive, is safe.
    """

    __slots__ = ("__weakref__", "_as_parameter_", "_destroy")

    def __init__(self, pointer: Any, destroy: Any) -> None:
        self._as_parameter_ = pointer
        self._destroy = destroy

    def __del__(self, _is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # At exit the process gives its memory back; threads may still be computing.
        if not _is_finalizing():
            self._destroy(self._as_parameter_)


class Handle:
    """Base of the classes that own an object of the library.

    ``close()`` lets go of it at once, as does leaving a ``with`` block; otherwise it goes with the last reference.
    """

    _owner: Owner | None = None

    def _open(self) -> Owner:
        owner = self._owner
        if owner is None:
            raise InvalidStateError(f"this {type(self).__name__} is closed; make or load another")
        return owner

    @property
    def closed(self) -> bool:
        """Whether ``close()`` was called."""
        return self._owner is None

    def close(self) -> None:
        """Lets go of the library's object. Safe to call twice, and while views of its memory live on."""
        self._owner = None

    def __enter__(self: Self) -> Self:
        self._open()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
