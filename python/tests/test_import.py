"""Importing the package is light: what it loads is counted, not timed."""

from __future__ import annotations

import subprocess
import sys

import pytest

import martlet

PROGRAM = """
import sys, numpy
before = set(sys.modules)
import martlet
print(*sorted(set(sys.modules) - before))
"""


def loaded(program):
    return set(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split())


def test_only_light_modules_beyond_numpys():
    heavy = {
        "argparse", "asyncio", "dataclasses", "gzip", "inspect", "json", "logging", "matplotlib", "numpy.testing",
        "numpy.typing", "safetensors", "scipy", "sklearn", "subprocess", "tempfile", "torch", "unittest",
    }  # fmt: skip
    found = loaded(PROGRAM)
    assert not found & heavy
    on_demand = ("checking", "compare", "convolution", "data", "folding", "normalize", "progress")
    assert not {name for name in found if name.startswith(tuple(f"martlet.{module}" for module in on_demand))}
    assert len({name for name in found if not name.startswith("martlet")}) < 12


def test_importing_does_not_open_the_library():
    program = "import martlet; from martlet import _library; print('open' if _library._loaded else 'closed')"
    assert loaded(program) == {"closed"}


def test_modules_come_on_demand():
    assert "martlet.data" in loaded("import sys, martlet; martlet.data; martlet.compare; print(*sys.modules)")


def test_every_public_name_is_there():
    program = "import martlet; print(*(name for name in martlet.__all__ if name in dir(martlet) and hasattr(martlet, name)))"
    assert loaded(program) == set(martlet.__all__)
    assert set(martlet._MODULE_OF) <= set(martlet.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        martlet.nonsense  # noqa: B018


TRAINS_W1 = """
import os, sys
import numpy as np


def resident():  # kB
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


x, labels = np.full((60, 784), 0.1, np.float32), np.arange(60) % 10
before = resident() if sys.platform == "linux" else 0
import martlet

modules = set(sys.modules)
layers = [layer for _ in range(3) for layer in (martlet.Dense(100), martlet.BatchNorm(), martlet.Sigmoid())]
net = martlet.Sequential([*layers, martlet.Dense(10)], input_shape=(784,), seed=0)
trainer = martlet.Trainer(net, optimizer=martlet.SGD(0.1))
for _ in range(20):
    trainer.step(x, labels)
"""


def test_the_first_step_imports_nothing():
    """What an import puts off until the first step is paid for all the same."""
    found = loaded(TRAINS_W1 + "print(*sorted(set(sys.modules) - modules))")
    assert found <= set(sys.builtin_module_names)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_that_trained_is_at_most_15_megabytes_above_numpy():
    (grown,) = loaded(TRAINS_W1 + "print(resident() - before)")
    assert int(grown) < 15_000
