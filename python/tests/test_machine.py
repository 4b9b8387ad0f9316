"""Instruction sets, each in a process of its own, since the choice is made once."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import martlet

PROGRAM = """
import numpy as np, martlet
x = np.random.default_rng(0).normal(3, 2, size=(257, 19)).astype(np.float32)
print(martlet.isa(), repr(float(martlet.batch_norm(x)[5, 7])))
"""


def run(isa):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, "MARTLET_ISA": isa}, capture_output=True, text=True, check=False
    )


def test_the_best_is_in_use_unless_told_otherwise():
    sets = martlet.available_isas()
    assert sets[-1] == "baseline"
    assert martlet.isa() == (os.environ.get("MARTLET_ISA") or sets[0])


@pytest.mark.parametrize("isa", martlet.available_isas())
def test_each_can_be_forced_and_gives_the_same_answer(isa):
    found = run(isa)
    assert found.returncode == 0, found.stderr
    name, value = found.stdout.split()
    x = np.random.default_rng(0).normal(3, 2, size=(257, 19)).astype(np.float32).astype(float)
    expected = ((x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5))[5, 7]
    assert name == isa
    assert float(value) == pytest.approx(expected, abs=1e-6)


def test_an_unknown_one_is_a_clear_error():
    found = run("mmx")
    assert found.returncode == 1
    assert "UnsupportedError" in found.stderr
    assert "mmx" in found.stderr
