"""What all tests share: the repository's places, seeded random numbers, small data and networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import martlet

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def rng(request):
    """Random numbers from a seed that a failing test prints."""
    seed = sum(request.node.name.encode())
    print(f"seed {seed}")
    return np.random.default_rng(seed)


@pytest.fixture
def net():
    """A small network with every kind of tensor."""
    layers = [martlet.Dense(5), martlet.BatchNorm(), martlet.Sigmoid(), martlet.Dense(3)]
    return martlet.Sequential(layers, input_shape=(4,), seed=7)


@pytest.fixture
def batch(rng):
    """Sixteen rows for ``net``, and their labels."""
    return rng.normal(size=(16, 4)).astype(np.float32), rng.integers(0, 3, 16)
