"""The comparison: fair start, measurements, and a table that says whatever was found."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

from martlet.__main__ import main
from martlet.compare import Comparison, Run, Settings, compare, network
from martlet.compare.report import table, verdict
from martlet.data import Dataset

SMALL = Settings(depths=(1, 2), width=8, batch_size=20, steps=60, learning_rate=0.5)


@pytest.fixture
def data(rng):
    x = rng.normal(size=(500, 6)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    return Dataset("a made-up set", x[:400], y[:400], x[400:], y[400:])


def run(label, accuracy):
    return Run(label, [10 * step for step in range(len(accuracy))], accuracy, [np.zeros(3)] * len(accuracy))


@pytest.mark.parametrize(
    ("norm", "kinds"),
    [
        ("before", ["dense", "batch_norm", "sigmoid", "dense"]),
        ("after", ["dense", "sigmoid", "batch_norm", "dense"]),
        ("none", ["dense", "sigmoid", "dense"]),
    ],
)
def test_where_the_normalisation_stands(norm, kinds):
    assert [layer.kind for layer in network(SMALL, 1, 6, 2, norm).layers] == kinds


@pytest.mark.parametrize("norm", ["before", "after", "none"])
def test_measurements_of_every_training(data, norm):
    stream = io.StringIO()
    found = compare(SMALL._replace(norm=norm), data, stream)
    assert [comparison.name for comparison in found] == ["6-8-2", "6-8-8-2"]
    for comparison in found:
        runs = [comparison.plain] if comparison.normalized is None else [comparison.plain, comparison.normalized]
        assert len(runs) == (1 if norm == "none" else 2)
        for one in runs:
            assert one.steps == sorted(SMALL.evaluation_steps())
            assert len(one.accuracy) == len(one.percentiles) == len(one.steps)
            assert all(np.all(np.diff(percentiles) >= 0) for percentiles in one.percentiles)
    assert found[0].plain.best > 0.8
    assert "60/60" in stream.getvalue()


def test_both_start_from_the_same_weights_and_see_the_same_batches(data, monkeypatch):
    from martlet.compare import experiment

    nets, orders = [], []

    class Spy(experiment.Trainer):
        def __init__(self, net, **options):
            nets.append(net.state_dict())
            super().__init__(net, **options)

        def fit(self, x, y, **options):
            orders.append({key: options[key] for key in ("batch_size", "seed", "drop_last")})
            return super().fit(x, y, **options)

    monkeypatch.setattr(experiment, "Trainer", Spy)
    compare(SMALL._replace(depths=(2,)), data, io.StringIO())
    plain, normalized = nets
    assert all(np.array_equal(normalized[name], value) for name, value in plain.items())
    assert orders[0] == orders[1]


def test_evaluation_is_dense_at_first():
    steps = Settings().evaluation_steps()
    assert {0, 20, 40, 1000, 1100, 12000} <= steps
    assert not {1020, 1001, 12001} & steps
    assert Settings(steps=3).evaluation_steps() == {0, 3}


def test_the_table_says_which_was_faster():
    comparison = Comparison("2-2", run("plain", [0.1, 0.2, 0.4, 0.6]), run("normalised", [0.1, 0.6, 0.5, 0.7]))
    lines = table([comparison], SMALL).splitlines()
    assert lines[2].split() == ["2-2", "none", "0.6000", "30", "30", "1"]
    assert lines[3].split() == ["before", "each", "sigmoid", "0.7000", "30", "10", "3.0"]
    assert "in 10 steps instead of 30; its own best is 0.1000 better" in verdict(comparison, SMALL)


def test_and_when_it_was_not():
    slow = Comparison("2-2", run("plain", [0.1, 0.6, 0.6]), run("normalised", [0.1, 0.3, 0.6]))
    assert "needed 20 steps" in verdict(slow, SMALL)
    assert "as good" in verdict(slow, SMALL)
    assert table([slow], SMALL).splitlines()[3].split()[-1] == "0.5"
    never = Comparison("2-2", run("plain", [0.1, 0.6]), run("normalised", [0.1, 0.3]))
    assert "did not reach" in verdict(never, SMALL)
    assert "0.3000 worse" in verdict(never, SMALL)
    assert table([never], SMALL).splitlines()[3].endswith("not in 60      -")
    stuck = Comparison("2-2", run("plain", [0.1, 0.1]), run("normalised", [0.1, 0.3]))
    assert "plain network did not learn" in verdict(stuck, SMALL)
    assert table([stuck], SMALL).splitlines()[3].split()[-1] == "-"
    alone = Comparison("2-2", run("plain", [0.1, 0.6]), None)
    assert len(table([alone], SMALL).splitlines()) == 3
    assert verdict(alone, SMALL) == "2-2: plain, best test accuracy 0.6000."


def test_the_command_from_start_to_picture(tmp_path, capsys):
    pytest.importorskip("sklearn", reason="an extra: the digits come with scikit-learn")
    picture = tmp_path / "new" / "picture.png"
    options = ["--quick", "--data", "digits", "--steps", "30", "--width", "12", "--depth", "1", "2", "--out", str(picture)]
    assert main(["compare", *options]) == 0
    printed = capsys.readouterr().out
    assert "Data: scikit-learn digits, 1,437 rows to train on, 360 to test." in printed
    assert "64-12-12-10" in printed
    assert "steps to plain's best" in printed
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"Picture: {picture}" in printed


def test_without_matplotlib_the_table_still_comes(tmp_path, capsys, monkeypatch):
    pytest.importorskip("sklearn", reason="an extra: the digits come with scikit-learn")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("martlet.compare.plot.is_available", lambda: False)
    assert main(["compare", "--data", "digits", "--steps", "10", "--depth", "1", "--norm", "none"]) == 0
    assert "No picture: matplotlib is not installed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--steps", "0"], "--steps must be at least 1"),
        (["--depth", "0"], "--depth must be at least 1"),
        (["--batch-size", "1"], "--batch-size must be at least 2"),
        (["--learning-rate", "nan"], "learning_rate"),
        (["--width", "0"], "units must be at least 1"),
    ],
)
def test_options_that_cannot_be(options, words, capsys):
    pytest.importorskip("sklearn", reason="an extra: the digits come with scikit-learn")
    assert main(["compare", "--data", "digits", "--quick", *options]) == 1
    assert words in capsys.readouterr().err
