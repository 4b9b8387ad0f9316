"""Trains one of the well-known networks on real data, and on request the same network in PyTorch beside it.

``python -m martlet train`` runs it; ``python -m martlet train --help`` lists what can be changed.
"""

from __future__ import annotations

from .command import add_arguments, main
from .experiment import Epoch, Learner, Ours, Run, Settings, learning_rate, network, run

__all__ = [
    "Epoch",
    "Learner",
    "Ours",
    "Run",
    "Settings",
    "add_arguments",
    "learning_rate",
    "main",
    "network",
    "run",
]
