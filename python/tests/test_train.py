"""Training from the command line: the order of the batches, the learning rate, the figures, the peer."""

from __future__ import annotations

import numpy as np
import pytest

import martlet
from martlet.__main__ import main
from martlet.data import Dataset
from martlet.train import Epoch, Ours, Run, Settings, learning_rate, network, run
from martlet.train.experiment import batches, first_losses, images
from martlet.train.report import difference, line, side_by_side, spread, summary

SMALL = Settings(model="mlp", epochs=3, batch_size=20, learning_rate=0.1)


@pytest.fixture
def data(rng):
    """Bright above or bright below."""
    y = rng.integers(0, 2, 500)
    x = rng.uniform(0, 0.5, (500, 8, 8)).astype(np.float32)
    x[y == 0, :4] += 0.5
    x[y == 1, 4:] += 0.5
    x = x.reshape(500, 64)
    return images(Dataset("a made-up set", x[:400], y[:400], x[400:], y[400:]))


def test_images_have_mean_0_and_deviation_1(data):
    assert data.train_x.shape == (400, 8, 8, 1)
    assert data.train_x.dtype == np.float32
    assert abs(data.train_x.mean()) < 1e-5
    assert abs(data.train_x.std() - 1) < 1e-5
    with pytest.raises(martlet.InvalidArgumentError, match="square"):
        images(data._replace(train_x=np.zeros((3, 5), np.float32)))


def test_the_learning_rate_goes_up_and_down():
    rates = [learning_rate(step / 100, 0.4) for step in range(101)]
    assert rates[0] == 0
    assert max(rates) == rates[20] == 0.4
    assert rates[10] == pytest.approx(0.2)
    assert rates[60] == pytest.approx(0.2)
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert np.all(np.diff(rates[:21]) > 0)
    assert np.all(np.diff(rates[20:]) < 0)


def test_every_epoch_has_its_own_order_and_each_row_once():
    first, second, again = (np.concatenate(list(batches(100, SMALL, epoch))) for epoch in (0, 1, 0))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, second)
    assert sorted(first) == sorted(second) == list(range(100))
    assert len(list(batches(99, SMALL, 0))) == 4


def test_a_training_learns_and_tells(data):
    told = []
    found = run(Ours(network(SMALL, data), SMALL), data, SMALL, lambda epoch, rate: told.append((epoch, rate)))
    assert [epoch.number for epoch in found.epochs] == [1, 2, 3]
    assert [epoch for epoch, _ in told] == found.epochs
    assert told[-1][1] < 1e-6
    assert len(found.losses) == 60
    assert found.epochs[-1].accuracy > 0.95
    assert found.epochs[-1].loss < found.epochs[0].loss
    assert 0 < found.seconds_to_goal <= found.epochs[-1].seconds
    assert first_losses(Ours(network(SMALL, data), SMALL), data, SMALL, 25) == found.losses[:25]


def test_time_can_end_it(data):
    settings = SMALL._replace(epochs=100_000, minutes=0.5 / 60)
    told = []
    found = run(Ours(network(settings, data), settings), data, settings, lambda epoch, rate: told.append(rate))
    assert 0.5 <= found.epochs[-1].seconds < 5
    assert told[-1] < 0.01
    assert len(found.losses) < 20 * 100_000


def test_reports():
    epochs = [Epoch(1, 0.5, 0.8, 10.0), Epoch(2, 0.25, 0.925, 20.0)]
    one = Run("martlet", epochs, [0.5] * 4, 15.0)
    assert "epoch 2/3  loss 0.2500  test accuracy 92.50 %    20.0 s" in line(epochs[1], 0.01, SMALL)
    assert summary(one) == "martlet: test accuracy 92.50 % in 20.0 s of training (5000.00 ms a step), 90 % after 15.0 s."
    assert "90 % not reached" in summary(one._replace(seconds_to_goal=None))
    slow = one._replace(epochs=[Epoch(1, 0.5, 0.91, 40.0)])
    assert spread([one, one._replace(epochs=epochs[:1]), slow]) == (
        "3 seeds: test accuracy 91.00 % (median; 80.00 to 92.50), 20.0 s of training (median; at most 40.0)."
    )
    other = one._replace(label="torch", seconds_to_goal=20.0)
    assert side_by_side(one, other) == "To 90 % test accuracy: martlet 15.0 s, torch 20.0 s; 0.75 of its time."
    never = other._replace(seconds_to_goal=None)
    assert side_by_side(one, never) == "To 90 % test accuracy: martlet 15.0 s, torch never."
    assert difference([1.0, 2.0], [1.0, 1.0]) == 1


@pytest.mark.parametrize("model", ["cnn", "mlp", "resnet20"])
def test_pytorch_has_the_same_losses(data, model):
    pytest.importorskip("torch", reason="the peer: PyTorch is not installed")
    from martlet.train.torch_peer import TorchLearner

    settings = SMALL._replace(model=model, epochs=1)
    net = network(settings, data)
    for layout in ("channels_first", "channels_last"):
        peer = TorchLearner(net, settings, layout, 1)
        ours = Ours(net.clone(), settings)
        losses = first_losses(ours, data, settings, 10)
        assert difference(losses, first_losses(peer, data, settings, 10)) < 1e-4
        assert ours.accuracy(data.test_x, data.test_y) == pytest.approx(peer.accuracy(data.test_x, data.test_y), abs=0.02)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--epochs", "0"], "--epochs must be above 0"),
        (["--minutes", "nan"], "--minutes must be above 0"),
        (["--threads", "-1"], "--threads must be above 0"),
        (["--batch-size", "1"], "--batch-size must be at least 2"),
        (["--batch-size", "100000"], "more than the 1437"),
        (["--learning-rate", "nan"], "learning_rate"),
    ],
)
def test_options_that_cannot_be(options, words, capsys):
    pytest.importorskip("sklearn", reason="an extra: the digits come with scikit-learn")
    assert main(["train", "--model", "mlp", "--data", "digits", *options]) == 1
    assert words in capsys.readouterr().err


def test_the_command_from_start_to_file(tmp_path, capsys):
    pytest.importorskip("sklearn", reason="an extra: the digits come with scikit-learn")
    path = tmp_path / "new" / "net.safetensors"
    options = ["--model", "mlp", "--data", "digits", "--epochs", "5", "--seeds", "1", "2", "--save", str(path)]
    assert main(["train", *options]) == 0
    printed = capsys.readouterr().out
    assert printed.count("  epoch 5/5  loss ") == 2
    assert printed.count("martlet: test accuracy ") == 2
    assert "martlet, 2 seeds: test accuracy 9" in printed
    assert martlet.load(path).output_shape == (10,)
