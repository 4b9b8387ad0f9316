"""The sweep over batch sizes and normalisations: fair starts, and figures in a table, in JSON and in a picture."""

from __future__ import annotations

import json

import numpy as np
import pytest

import martlet
from martlet.__main__ import main
from martlet.data import Dataset
from martlet.sweep import NORMALIZATIONS, Settings, network, sweep
from martlet.sweep import experiment as sweeping
from martlet.sweep.report import save_json, table

SMALL = Settings(batch_sizes=(4, 20), seeds=(1, 2), rows=200, epochs=2)


@pytest.fixture
def data(rng):
    """Bright above or bright below."""
    y = rng.integers(0, 2, 300)
    x = rng.uniform(0, 0.5, (300, 8, 8)).astype(np.float32)
    x[y == 0, :4] += 0.5
    x[y == 1, 4:] += 0.5
    x = x.reshape(300, 64)
    return Dataset("a made-up set", x[:200], y[:200], x[200:], y[200:])


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_every_size_with_every_normalisation(data, kind):
    runs = list(sweep(SMALL._replace(network=kind), data))
    assert {(run.normalization, run.batch_size, run.seed) for run in runs} == {
        (normalization, size, seed) for normalization in NORMALIZATIONS for size in (4, 20) for seed in (1, 2)
    }
    assert all(run.steps == 2 * 200 // run.batch_size for run in runs)
    assert max(run.accuracy for run in runs) > 0.9


def test_another_normalisation_is_another_line(data, monkeypatch):
    monkeypatch.setitem(NORMALIZATIONS, "unlearned", lambda name: [martlet.BatchNorm(scale=False, shift=False, name=name)])
    settings = SMALL._replace(normalizations=("unlearned",), seeds=(1,))
    assert [layer.kind for layer in network("mlp", "unlearned", data, 1).layers].count("batch_norm") == 3
    runs = list(sweep(settings, data))
    assert "unlearned" in table(runs, settings).splitlines()[0]


def test_all_start_from_the_same_weights(data, monkeypatch):
    started = []

    class Spy(sweeping.Trainer):
        def __init__(self, net, **options):
            started.append(net.state_dict())
            super().__init__(net, **options)

    monkeypatch.setattr(sweeping, "Trainer", Spy)
    list(sweep(SMALL._replace(batch_sizes=(20,), seeds=(1,)), data))
    plain, *others = started
    assert len(others) == len(NORMALIZATIONS) - 1
    for normalized in others:
        assert set(plain) < set(normalized)
        assert all(np.array_equal(normalized[name], value) for name, value in plain.items())


def test_json_knows_no_nan(tmp_path):
    run = sweeping.Run("none", 4, 1, 0.5, float("nan"), 10)
    save_json([run], SMALL, "a made-up set", str(tmp_path / "new" / "sweep.json"))
    found = json.loads((tmp_path / "new" / "sweep.json").read_text())
    assert found["runs"][0] == {**run._asdict(), "loss": None}
    assert found["settings"]["batch_sizes"] == [4, 20]


def test_the_command_from_start_to_files(tmp_path, capsys):
    pytest.importorskip("sklearn", reason="an extra: the digits come with scikit-learn")
    stem = tmp_path / "out" / "digits"
    options = ["--data", "digits", "--batch-sizes", "64", "16", "--seeds", "1", "--epochs", "1", "--out", str(stem)]
    assert main(["sweep", *options]) == 0
    printed = capsys.readouterr().out
    assert "mlp on 1,437 rows of scikit-learn digits" in printed
    assert len(json.loads(stem.with_suffix(".json").read_text())["runs"]) == 2 * len(NORMALIZATIONS)
    if "No picture" not in printed:
        assert stem.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rows", "0"], "--rows must be"),
        (["--epochs", "0"], "--epochs must be"),
        (["--batch-size", "1"], "batch sizes must be 2"),
    ],
)
def test_options_that_cannot_be(options, words, capsys):
    pytest.importorskip("sklearn", reason="an extra: the digits come with scikit-learn")
    assert main(["sweep", "--data", "digits", *options]) == 1
    assert words in capsys.readouterr().err
