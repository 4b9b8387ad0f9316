"""Batch norm's momentum: the weight of the previous statistic here, of the new one in PyTorch."""

from __future__ import annotations

from decimal import Decimal

from .._arguments import real
from .._errors import InvalidArgumentError


def momentum_from_torch(momentum: float | None) -> float | None:
    """The weight of the previous statistic, of PyTorch's ``momentum``, the weight of the new one: 0.1 → 0.9.

    Taken in decimals, so that 0.1 gives 0.9 and 0.9 gives 0.1 to the bit. None, the plain average of all batches, stays None.

    Examples
    --------
    >>> from martlet.converters import momentum_from_torch
    >>> momentum_from_torch(0.1), momentum_from_torch(0.01), momentum_from_torch(None)
    (0.9, 0.99, None)
    """
    if momentum is None:
        return None
    number = real(momentum, "momentum")
    if not 0 <= number <= 1:
        raise InvalidArgumentError(f"momentum must be in 0...1; got {number}")
    return float(1 - Decimal(repr(number)))


def momentum_to_torch(momentum: float | None) -> float | None:
    """PyTorch's ``momentum`` of a :class:`~martlet.BatchNorm`'s: 0.9 → 0.1. The same rule as :func:`momentum_from_torch`."""
    return momentum_from_torch(momentum)
