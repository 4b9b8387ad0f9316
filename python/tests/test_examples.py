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


def test_fold():
    printed = run("fold.py")
    assert "3 of 4 batch norms folded" in printed
    assert re.search(r'norm_4 batch_norm +kept: before it is "add" \(add\)', printed)
    assert "held" in printed
    before, after = (int(number) for number in re.findall(r"(\d+) tensors", printed))
    assert after < before


def test_residual_digits(tmp_path):
    printed = run("residual_digits.py", str(tmp_path / "model.safetensors"))
    assert float(re.search(r"accuracy ([\d.]+)", printed)[1]) > 0.9
    assert "conv2d_1 conv2d + batch_norm_1 batch_norm + relu_1 relu" in printed
    assert "saved to" in printed


def test_augmented_images():
    plain, augmented = (float(number) for number in re.findall(r": (0\.\d+) of", run("augmented_images.py")))
    assert augmented > 0.8
    assert augmented > plain + 0.05


def test_principal_direction():
    printed = run("principal_direction.py")
    assert float(re.search(r"holds ([\d.]+) %", printed)[1]) == pytest.approx(14.9, abs=1.5)
    assert float(re.search(r"off by (\S+)", printed)[1]) < 1e-4


def test_normalizations():
    printed = run("normalizations.py")
    assert "BatchNorm: " in printed
    assert "needs 2 or more values per channel" in printed
    accuracies = re.findall(r"(LayerNorm|RMSNorm|GroupNorm|FilterResponseNorm): accuracy ([\d.]+)", printed)
    assert len(accuracies) == 4
    assert all(float(accuracy) > 0.85 for _, accuracy in accuracies)
    assert "gradient of the shift [128. 128. 128.]" in printed


def test_convolution():
    printed = run("convolution.py")
    assert "  *  ::  |  * **.:." in printed
    error, of_bias = (float(number) for number in re.search(r"largest error (\S+), of the bias (\S+)", printed).groups())
    assert max(error, of_bias) < 1e-4


def test_check_network():
    printed = run("check_network.py")
    assert "error one_value_per_channel: the last of 1000 rows in batches of 37" in printed
    assert 'dropout_before_batch_norm: "1" (dropout, rate 0.4)' in printed
    assert "on training data: nothing\n" in printed
    assert "where it serves: data_drifted in '0', 20 channels" in printed


def test_record_shift(tmp_path):
    printed = run("record_shift.py", str(tmp_path))
    plain, normalized = (float(number) for number in re.findall(r"moved over (\d+\.\d+)", printed))
    assert normalized < plain / 2
    for name in ("plain", "normalized"):
        assert len((tmp_path / f"{name}.csv").read_text().splitlines()) == 1 + 2 * 20


def test_shards():
    printed = run("shards.py")
    differences = re.search(r"differ by (\S+), and from the one batch by (\S+)", printed)
    apart, from_whole = (float(number) for number in differences.groups())
    assert apart == 0
    assert from_whole < 1e-3
    assert "of 60 right" in printed


def test_from_torch():
    printed = run("from_torch.py")
    if "PyTorch is not installed" in printed:
        pytest.skip("the peer: PyTorch is not installed")
    there, back = (float(number) for number in re.findall(r"differ by (\S+) at most", printed))
    assert max(there, back) < 1e-5
    assert float(re.search(r"accuracy after training here: ([\d.]+)", printed)[1]) > 0.9
    assert "BatchNorm(momentum=0.95, name='1')" in printed


def test_every_example_has_a_test():
    examples = {
        "check_network.py",
        "convolution.py",
        "record_shift.py",
        "train_digits.py",
        "loop_by_hand.py",
        "fine_tune.py",
        "fold.py",
        "from_torch.py",
        "normalizations.py",
        "principal_direction.py",
        "residual_digits.py",
        "augmented_images.py",
        "shards.py",
    }
    assert {path.name for path in FOLDER.glob("*.py")} == examples
