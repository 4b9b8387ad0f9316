"""Batch sizes against normalisations: the same network, trained with each of them at each batch size.

``python -m martlet sweep`` runs it; ``python -m martlet sweep --help`` lists what can be changed.
"""

from __future__ import annotations

from .command import add_arguments, main
from .experiment import NORMALIZATIONS, Run, Settings, network, sweep

__all__ = ["NORMALIZATIONS", "Run", "Settings", "add_arguments", "main", "network", "sweep"]
