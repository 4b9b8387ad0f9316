"""The examples run as they stand and find what they are about."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from conftest import REPOSITORY

FOLDER = REPOSITORY / "python" / "examples"


def run(name, *arguments):
    command = [sys.executable, str(FOLDER / name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_train_digits(tmp_path):
    pytest.importorskip("sklearn", reason="an extra: the digits come with scikit-learn")
    printed = run("train_digits.py", str(tmp_path / "model.safetensors"))
    accuracies = [float(number) for number in re.findall(r"0\.\d{3}", printed)]
    assert len(accuracies) == 15
    assert max(accuracies) > 0.88
    assert "saved to" in printed
    assert (tmp_path / "model.safetensors").is_file()


def test_loop_by_hand():
    accuracy = float(re.search(r"accuracy ([\d.]+)", run("loop_by_hand.py"))[1])
    assert accuracy > 0.95


def test_fine_tune():
    printed = run("fine_tune.py")
    before, after = (float(number) for number in re.findall(r"(?:before|after): +([\d.]+)", printed))
    assert before < 0.5 < 0.9 < after
    assert "changed: 3.weight, 3.bias\n" in printed


def test_augmented_images():
    plain, augmented = (float(number) for number in re.findall(r": (0\.\d+) of", run("augmented_images.py")))
    assert augmented > 0.8
    assert augmented > plain + 0.05


def test_every_example_has_a_test():
    assert {path.name for path in FOLDER.glob("*.py")} == {
        "train_digits.py",
        "loop_by_hand.py",
        "fine_tune.py",
        "augmented_images.py",
    }
