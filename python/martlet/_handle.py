"""Ownership of the library's objects."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

from ._attributes import FixedAttributes
from ._errors import InvalidStateError, UnsupportedError

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
        # An owner whose __init__ never ran has no object to destroy.
        destroy = getattr(self, "_destroy", None)
        if destroy is not None and not _is_finalizing():
            destroy(self._as_parameter_)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # Two owners of one pointer would destroy it twice.
        raise UnsupportedError("an object of the native library cannot be copied or pickled")


class Handle(FixedAttributes):
    """Base of the classes that own an object of the library.

    ``close()`` lets go of it at once, as does leaving a ``with`` block; otherwise it goes with the last reference.
    """

    _owner: Owner | None = None
    #: What to do instead of pickling or copying an object of this class; "" where a subclass says how it is done.
    _instead_of_pickling = "Keep the data that it is made from, and make a new one"

    def __reduce_ex__(self, protocol: Any) -> Any:
        if type(self).__reduce__ is not object.__reduce__:
            return self.__reduce__()
        raise UnsupportedError(
            f"a {type(self).__name__} cannot be pickled or copied: it holds an object of the native library. "
            f"{self._instead_of_pickling}."
        )

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
