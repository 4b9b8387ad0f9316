"""Refusing assignments that would do nothing: ``trainer.momentum = 0.5``."""

from __future__ import annotations

from typing import Any


class _Made(type):
    """Marks an object when its ``__init__`` has run."""

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        made = super().__call__(*arguments, **options)
        object.__setattr__(made, "_is_made", True)
        return made


class FixedAttributes(metaclass=_Made):
    """Base of classes whose public attributes are fixed once an object is made, but for properties that can be set.

    What such an attribute says has gone to the library by then: another value would have no effect. Classes derived outside
    of this package may set attributes of their own.
    """

    _is_made = False
    #: Plain attributes that may be assigned at any time.
    _assignable: frozenset[str] = frozenset()
    #: What to do instead.
    _instead_of_assigning = "Make a new object"

    def __setattr__(self, name: str, value: Any) -> None:
        cls = type(self)
        if self._is_made and not name.startswith("_") and cls.__module__.partition(".")[0] == __name__.partition(".")[0]:
            found = getattr(cls, name, None)
            if name not in self._assignable and not (isinstance(found, property) and found.fset is not None):
                raise AttributeError(
                    f"{cls.__name__}.{name}: expected {_listed(cls)}; got an assignment that would have no effect. "
                    f"{self._instead_of_assigning}."
                )
        super().__setattr__(name, value)


def _listed(cls: type) -> str:
    names = sorted(
        name
        for name in dir(cls)
        if not name.startswith("_") and isinstance(getattr(cls, name), property) and getattr(cls, name).fset is not None
    )
    return "one of the attributes that can be set (" + ", ".join(names) + ")" if names else "no assignment"
