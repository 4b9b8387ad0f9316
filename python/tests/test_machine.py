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


def threads(**environment):
    """``num_threads()`` and what batch norm says, in a process with these variables."""
    program = "import martlet; print(martlet.num_threads()); martlet.batch_norm([[1.0], [3.0]])"
    inherited = {name: value for name, value in os.environ.items() if name not in ("MARTLET_NUM_THREADS", "OMP_NUM_THREADS")}
    return subprocess.run(
        [sys.executable, "-c", program], env={**inherited, **environment}, capture_output=True, text=True, check=False
    )


def test_the_environment_sets_the_threads():
    assert threads(MARTLET_NUM_THREADS="7").stdout == "7\n"
    assert threads(OMP_NUM_THREADS="3,2").stdout == "3\n"
    assert threads(MARTLET_NUM_THREADS="5", OMP_NUM_THREADS="3").stdout == "5\n"
    usual = threads().stdout
    assert 1 <= int(usual) <= len(os.sched_getaffinity(0))
    assert threads(OMP_NUM_THREADS="none").stdout == usual


@pytest.mark.parametrize("value", ["0", "99999", "many"])
def test_a_wrong_number_of_threads_is_an_error_of_what_computes(value):
    found = threads(MARTLET_NUM_THREADS=value)
    assert found.returncode == 1
    assert "InvalidArgumentError" in found.stderr
    assert f'MARTLET_NUM_THREADS: expected a whole number in 1...1024; got "{value}"' in found.stderr
