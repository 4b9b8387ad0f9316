"""The comparison: the same networks trained with and without batch normalisation, side by side.

``python -m martlet compare`` runs it; ``python -m martlet compare --help`` lists what can be changed.
"""

from __future__ import annotations

from .command import add_arguments, main
from .experiment import Comparison, Run, Settings, compare, network

__all__ = ["Comparison", "Run", "Settings", "add_arguments", "compare", "main", "network"]
