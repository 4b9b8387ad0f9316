"""The claims of an introductory article on batch normalisation, run again on real data.

``python -m martlet article`` runs them all and writes one HTML page; ``python -m martlet article --help`` lists what can be
changed. Each experiment is one file: its claim, what is trained and measured, and the rules by which the claim holds or not.
"""

from __future__ import annotations

from .command import EXPERIMENTS, add_arguments, main
from .result import Check, Picture, Result, spread
from .training import Context

__all__ = ["EXPERIMENTS", "Check", "Context", "Picture", "Result", "add_arguments", "main", "spread"]
