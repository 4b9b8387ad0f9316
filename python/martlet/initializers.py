"""How parameters start."""

from __future__ import annotations

from typing import Any

from . import _abi
from ._arguments import one_of, real, shown
from ._errors import InvalidArgumentError

_KINDS = {
    "glorot_uniform": _abi.GLOROT_UNIFORM,
    "glorot_normal": _abi.GLOROT_NORMAL,
    "he_uniform": _abi.HE_UNIFORM,
    "he_normal": _abi.HE_NORMAL,
    "normal": _abi.NORMAL,
    "zeros": _abi.ZEROS,
    "constant": _abi.CONSTANT,
}
_WITH_VALUE = ("normal", "constant")


class Initializer:
    """How a parameter's first values are drawn.

    Parameters
    ----------
    kind : str
        ``"glorot_uniform"`` (±√(6 / (in + out))), ``"glorot_normal"`` (deviation √(2 / (in + out))),
        ``"he_uniform"`` (±√(6 / in)), ``"he_normal"`` (deviation √(2 / in)), ``"normal"``, ``"zeros"`` or ``"constant"``.
    value : float, optional
        The deviation for ``"normal"``, the value itself for ``"constant"``; the others take none.

    Examples
    --------
    >>> from martlet import Dense, Initializer
    >>> Dense(100, weight_initializer=Initializer("normal", 0.01))
    Dense(100, weight_initializer=Initializer('normal', 0.01))
    """

    def __init__(self, kind: str, value: float | None = None) -> None:
        one_of(kind, "kind", _KINDS)
        if (value is None) == (kind in _WITH_VALUE):
            need = "needs a value" if value is None else "takes no value"
            raise InvalidArgumentError(f"the initializer {kind!r} {need}; got {shown(value)}")
        self.kind = kind
        self.value = None if value is None else real(value, "value")

    def __repr__(self) -> str:
        return f"Initializer({self.kind!r})" if self.value is None else f"Initializer({self.kind!r}, {self.value!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Initializer) and (self.kind, self.value) == (other.kind, other.value)

    def __hash__(self) -> int:
        return hash((self.kind, self.value))

    def _struct(self) -> _abi.martlet_initializer:
        return _abi.martlet_initializer(kind=_KINDS[self.kind], value=self.value or 0.0)


def as_initializer(value: Any, name: str) -> Initializer:
    """An :class:`Initializer`, or the name of one that takes no value."""
    if isinstance(value, Initializer):
        return value
    one_of(value, name, _KINDS)
    return Initializer(value)
