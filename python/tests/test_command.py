"""``python -m martlet``."""

from __future__ import annotations

import subprocess
import sys

import pytest

import martlet
from martlet.__main__ import main


def test_info(capsys):
    assert main(["info"]) == 0
    printed = capsys.readouterr().out
    assert f"martlet {martlet.__version__}" in printed
    assert martlet.isa() in printed
    assert "libmartlet" in printed


def test_show(net, tmp_path, capsys):
    net.save(tmp_path / "net")
    assert main(["show", str(tmp_path / "net")]) == 0
    assert capsys.readouterr().out.rstrip() == net.summary()
    assert main(["show", str(tmp_path / "absent")]) == 1
    assert "martlet: " in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["show"], ["compare", "--norm", "sideways"]])
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m martlet" in capsys.readouterr().err


def test_as_a_module():
    run = subprocess.run([sys.executable, "-m", "martlet", "compare", "--help"], capture_output=True, text=True, check=True)
    for option in (
        "depth",
        "width",
        "learning-rate",
        "activation",
        "steps",
        "batch-size",
        "norm",
        "seed",
        "data",
        "out",
        "quick",
    ):
        assert f"--{option}" in run.stdout
