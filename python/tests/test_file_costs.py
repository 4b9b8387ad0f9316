"""Small files cost little: time and memory of everything that can be done with one, for files made to cost much."""

from __future__ import annotations

import sys

import costly_files
import pytest

from martlet._library import library, path

#: Debug builds take some twenty times as long: of the shapes they run a few.
library()
IS_DEBUG = "debug" in path()
SLOWER = 20 if IS_DEBUG else 1
QUICK = ["combining marks in a tensor's name", "combining marks in metadata", "outputs", "inputs", "places of an activation"]

#: What follows from the network's own values, which any file of that network takes.
OF_THE_NETWORK = {"predict", "check on data", "fold on data"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures memory by /proc")
@pytest.mark.parametrize("name", QUICK if IS_DEBUG else list(costly_files.SHAPES))
def test_costs(name):
    found = costly_files.measure(name)
    assert "died" not in found
    size = found.pop("bytes")
    for step, cost in found.items():
        assert cost["seconds"] < 5 * SLOWER, (step, cost)
        if step not in OF_THE_NETWORK:
            assert cost["bytes"] < (64 << 20) + 8 * size, (step, cost)
