"""Trainer: steps, fits, callbacks, what goes wrong."""

from __future__ import annotations

import io

import numpy as np
import pytest

import martlet
from martlet import (
    SGD,
    BatchNorm,
    Dense,
    Dropout,
    InvalidArgumentError,
    Model,
    Result,
    Sequential,
    ShapeError,
    Sigmoid,
    Trainer,
)
from martlet.progress import Progress


@pytest.fixture
def data(rng):
    """Two moons would do; here a product's sign, which no linear model learns."""
    x = rng.normal(size=(300, 4)).astype(np.float32)
    return x, (x[:, 0] * x[:, 1] > 0).astype(np.int64)


def network(seed=1):
    return Sequential([Dense(16), BatchNorm(), Sigmoid(), Dense(2)], input_shape=(4,), seed=seed)


def same_state(a, b):
    a, b = a.state_dict(), b.state_dict()
    return all(np.array_equal(a[name], b[name]) for name in a)


def test_step_is_forward_loss_backward_update(net, batch):
    x, y = batch
    twin = net.clone()
    result = Trainer(net, optimizer=SGD(0.5)).step(x, y)
    optimizer = martlet.Optimizer(twin, SGD(0.5))
    found = martlet.loss("cross_entropy", twin.forward(x, training=True), y)
    twin.backward(found.gradient)
    optimizer.step()
    assert result == Result(pytest.approx(found.loss, abs=1e-6), found.correct, 16)
    for name, value in net.state_dict().items():
        assert np.allclose(value, twin.state_dict()[name], atol=1e-6), name


def test_fit_learns(data):
    trainer = Trainer(network(), optimizer=SGD(1.0))
    before = trainer.evaluate(*data)
    history = trainer.fit(*data, epochs=60, batch_size=50, validation_data=data)
    assert history.steps == 360
    assert len(history.loss) == len(history.accuracy) == len(history.validation_loss) == 60
    assert history.loss[-1] < history.loss[0]
    assert history.validation_accuracy[-1] == trainer.evaluate(*data).accuracy > max(before.accuracy, 0.9)
    assert not history.stopped
    assert trainer.history is history
    assert repr(history).startswith("History(epochs=60, steps=360, loss=")


def test_evaluate_changes_nothing_and_batches_do_not_matter(net, batch):
    before = net.state_dict()
    trainer = Trainer(net)
    results = [trainer.evaluate(*batch, batch_size=size) for size in (None, 1, 5, 100)]
    assert len({result.correct for result in results}) == 1
    assert all(result.loss == pytest.approx(results[0].loss, abs=1e-7) for result in results)
    assert all(np.array_equal(before[name], value) for name, value in net.state_dict().items())


@pytest.mark.parametrize("layers", [[], [Dropout(0.3)]])
def test_the_same_seeds_give_the_same_bits(data, layers):
    def trained(seed, order):
        extra = [Dropout(0.3)] if layers else []
        net = Sequential([Dense(8), BatchNorm(), *extra, Sigmoid(), Dense(2)], input_shape=(4,), seed=3)
        Trainer(net, optimizer=SGD(0.5), seed=seed).fit(*data, epochs=2, batch_size=32, seed=order)
        return net

    first = trained(1, 2)
    assert same_state(first, trained(1, 2))
    assert not same_state(first, trained(1, 3))
    assert same_state(first, trained(2, 2)) == (not layers)


def test_threads_do_not_change_bits(data):
    def trained(threads):
        martlet.set_num_threads(threads)
        net = network()
        Trainer(net, optimizer=SGD(0.5)).fit(*data, epochs=2, batch_size=64)
        return net

    before = martlet.num_threads()
    try:
        assert same_state(trained(1), trained(2))
        assert same_state(trained(1), trained(5))
    finally:
        martlet.set_num_threads(before)


def test_shuffle_off_takes_the_rows_in_order(data):
    x, y = data
    net = network()
    Trainer(net, optimizer=SGD(0.5)).fit(x, y, batch_size=100, shuffle=False)
    by_hand = network()
    trainer = Trainer(by_hand, optimizer=SGD(0.5))
    for start in (0, 100, 200):
        trainer.step(x[start : start + 100], y[start : start + 100])
    assert same_state(net, by_hand)


def test_other_losses(rng):
    x = rng.normal(size=(200, 3)).astype(np.float32)
    target = x @ [[1.0], [2.0], [-1.0]]
    trainer = Trainer(Sequential([Dense(1)], input_shape=(3,)), loss="mse", optimizer="adam")
    trainer.learning_rate = 0.05
    trainer.fit(x, target, epochs=60)
    assert trainer.evaluate(x, target).loss < 1e-3
    trainer = Trainer(Sequential([Dense(1)], input_shape=(3,)), loss="bce", optimizer=martlet.AdamW(0.05))
    trainer.fit(x, (target > 0).astype(np.float32), epochs=60)
    assert trainer.evaluate(x, (target > 0).astype(np.float32)).accuracy > 0.95


def test_several_outputs(rng):
    a = martlet.Input((3,))
    hidden = Dense(8)(a)
    net = Model(a, [Dense(1)(hidden), Dense(2)(hidden)])
    x = rng.normal(size=(100, 3)).astype(np.float32)
    targets = [x[:, :1], x[:, 1:]]
    trainer = Trainer(net, loss="mse", optimizer=SGD(0.1))
    before = trainer.evaluate(x, targets).loss
    trainer.fit(x, targets, epochs=20)
    assert trainer.evaluate(x, targets).loss < before / 5


# -- callbacks --


def test_events_tell_every_step_and_epoch(data):
    events = []
    Trainer(network()).fit(*data, epochs=2, batch_size=100, validation_data=data, callbacks=[events.append])
    assert [(event.kind, event.epoch, event.step) for event in events] == [
        ("step", 0, 1),
        ("step", 0, 2),
        ("step", 0, 3),
        ("epoch", 0, 3),
        ("step", 1, 4),
        ("step", 1, 5),
        ("step", 1, 6),
        ("epoch", 1, 6),
    ]
    assert {(event.epochs, event.steps) for event in events} == {(2, 6)}
    assert all((event.validation is not None) == (event.kind == "epoch") for event in events)
    assert events[3].training.rows == 300
    assert events[3].validation.rows == 300


def test_a_true_result_stops_after_this_step(data):
    net = network()
    trainer = Trainer(net, optimizer=SGD(0.5))
    history = trainer.fit(*data, epochs=5, batch_size=50, callbacks=lambda event: event.step == 7)
    assert history.stopped
    assert history.steps == 7
    assert len(history.training) == 1
    assert net.state_dict()["1.num_batches_tracked"] == 7
    assert trainer.fit(*data, epochs=1, batch_size=50).steps == 6


class BoomError(Exception):
    pass


@pytest.mark.parametrize("error", [BoomError("here"), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("kind", ["step", "epoch"])
def test_an_exception_in_a_callback_rises_from_the_fit(data, error, kind):
    net = network()
    trainer = Trainer(net)
    calls = []

    def callback(event):
        calls.append(event)
        if event.kind == kind:
            raise error

    with pytest.raises(type(error)) as caught:
        trainer.fit(*data, epochs=3, batch_size=100, callbacks=callback)
    assert caught.value is error
    assert len(calls) == (1 if kind == "step" else 4)
    assert np.isfinite(net(data[0])).all()
    assert trainer.step(data[0], data[1]).rows == 300


def test_callbacks_may_evaluate_predict_and_set_the_rate(data):
    net = network()
    part = net.submodel("1")
    trainer = Trainer(net, optimizer=SGD(1.0))
    seen = []

    def callback(event):
        trainer.learning_rate = 1.0 / (1 + event.step)
        seen.append((trainer.evaluate(*data).loss, net(data[0]).shape, part(data[0]).shape))

    trainer.fit(*data, batch_size=100, callbacks=callback)
    assert trainer.learning_rate == 0.25
    assert len(seen) == 4
    plain = network()
    Trainer(plain, optimizer=SGD(1.0)).fit(*data, batch_size=100)
    assert not same_state(net, plain)


def test_watching_does_not_change_the_training(data):
    nets = [network(), network(), network()]
    Trainer(nets[0]).fit(*data, epochs=2)
    trainer = Trainer(nets[1])
    trainer.fit(*data, epochs=2, callbacks=lambda event: trainer.evaluate(*data).rows < 0)
    Trainer(nets[2]).fit(*data, epochs=2, validation_data=data, progress=Progress(20, stream=io.StringIO()))
    assert same_state(nets[0], nets[1])
    assert same_state(nets[0], nets[2])


def test_progress_writes_lines(data, capsys):
    stream = io.StringIO()
    Trainer(network()).fit(*data, epochs=2, batch_size=100, progress=Progress(6, "fit", stream, seconds=0))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 6
    assert lines[-1].startswith("fit 6/6  loss ")
    assert "accuracy" in lines[-1]
    Trainer(network()).fit(*data, progress=True)
    assert "10/10" in capsys.readouterr().err


# -- what goes wrong --


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": -1}, "epochs"),
        ({"epochs": 1.5}, "epochs"),
        ({"epochs": 2**62}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": "32"}, "batch_size"),
        ({"seed": -1}, "seed"),
        ({"shuffle": "yes"}, "shuffle"),
        ({"drop_last": None}, "drop_last"),
        ({"validation_data": 3}, "validation_data must be a pair"),
        ({"callbacks": [3]}, "callbacks must be callables"),
    ],
)
def test_fit_refuses(data, options, words):
    net = network()
    before = net.clone()
    with pytest.raises(InvalidArgumentError, match=words):
        Trainer(net).fit(*data, **options)
    assert same_state(net, before)


def test_a_last_batch_of_one_row_is_refused_before_anything_changes(data):
    x, y = data
    net = network()
    before = net.clone()
    with pytest.raises(InvalidArgumentError, match="drop_last"):
        Trainer(net).fit(x[:33], y[:33], batch_size=32)
    assert same_state(net, before)
    assert Trainer(net).fit(x[:33], y[:33], batch_size=32, drop_last=True).steps == 1


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.zeros((4, 5)), [0, 1, 0, 1]),
        (np.zeros((4, 4)), [0, 1, 0]),
        (np.zeros((4, 4)), [0, 1, 0, 2]),
        (np.zeros((4, 4)), [0, 1, 0, -1]),
        (np.zeros((4, 4)), [0.0, 1.0, 0.0, 1.5]),
        (np.zeros((4, 4)), np.zeros((4, 3))),
        (np.zeros((4, 4)), "0101"),
    ],
)
def test_data_that_does_not_fit_changes_nothing(x, y):
    net = network()
    before = net.clone()
    trainer = Trainer(net)
    for call in (trainer.step, trainer.fit, trainer.evaluate):
        with pytest.raises((ValueError, TypeError)):
            call(x, y)
    assert same_state(net, before)


def test_validation_data_that_does_not_fit(data):
    with pytest.raises(ShapeError):
        Trainer(network()).fit(*data, validation_data=(np.zeros((3, 5)), [0, 1, 1]))


def test_no_epochs_and_no_rows_do_nothing(data):
    net = network()
    before = net.clone()
    assert Trainer(net).fit(*data, epochs=0).steps == 0
    assert Trainer(net).fit(np.zeros((0, 4)), np.zeros(0, np.int64)).steps == 0
    assert same_state(net, before)


@pytest.mark.parametrize("loss", ["nll", 3, None])
def test_unknown_losses(net, loss):
    with pytest.raises(InvalidArgumentError, match="loss must be one of 'cross_entropy', 'mse', 'bce'"):
        Trainer(net, loss=loss)


def test_accuracy_of_no_rows_is_no_number():
    assert np.isnan(Result(0.0, 0, 0).accuracy)
