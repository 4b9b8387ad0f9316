"""The recorder of internal covariate shift, against NumPy in float64."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest

import martlet
from martlet import SGD, BatchNorm, Dense, Dropout, Optimizer, Sequential, Sigmoid, Softmax, Trainer
from martlet.shift import ShiftRecorder


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def linear(rng):
    """y = x·W₁ᵀ·W₂ᵀ, whose gradients fit in a line."""
    net = Sequential([Dense(5, bias=False), Dense(3, bias=False)], input_shape=(4,), seed=2)
    return net, rng.normal(size=(20, 4)), rng.normal(size=(20, 3))


def gradients(first, second, x, y):
    """Of the mean squared error by both weights."""
    hidden = x @ first.T
    error = 2 * (hidden @ second.T - y) / y.size
    return (error @ second).T @ x, error.T @ hidden


def weights(net):
    state = net.state_dict()
    return state["0.weight"].astype(np.float64), state["1.weight"].astype(np.float64)


def test_the_gradients_change_is_that_of_its_definition(rng):
    net, x, y = linear(rng)
    trainer, recorder = Trainer(net, loss="mse", optimizer=SGD(0.5, momentum=0.9)), ShiftRecorder(net, ["0", "1"], loss="mse")
    for step in range(3):
        first, second = weights(net)
        recorder.step(trainer, x, y)
        moved, _ = weights(net)
        assert np.abs(moved - first).max() > 1e-3
        _, g = gradients(first, second, x, y)
        _, h = gradients(moved, second, x, y)
        before, after = recorder.records[-2:]
        # Nothing is before the first layer.
        assert (before.step, before.layer, before.gradient_change) == (step, "0", 0)
        assert before.gradient_cosine == pytest.approx(1, abs=1e-12)
        assert (after.step, after.layer) == (step, "1")
        assert after.gradient_change == pytest.approx(np.linalg.norm(g - h), rel=1e-4)
        assert after.gradient_cosine == pytest.approx((g * h).sum() / np.linalg.norm(g) / np.linalg.norm(h), rel=1e-5)
        assert after.gradient_change > 1e-3


def test_distributions_are_those_before_the_update(rng):
    net, x, y = linear(rng)
    trainer, recorder = Trainer(net, loss="mse", optimizer=SGD(0.5)), ShiftRecorder(net, ["0", "1"], loss="mse")
    first, _ = weights(net)
    recorder.step(trainer, x, y)
    own, hidden = recorder.records
    for record, value in ((own, x), (hidden, x @ first.T)):
        assert record.mean == pytest.approx(value.mean(), rel=1e-5, abs=1e-6)
        assert record.deviation == pytest.approx(value.std(), rel=1e-5)
        np.testing.assert_allclose(record.percentiles, np.percentile(value, [15, 50, 85]), rtol=1e-5, atol=1e-6)


def test_a_probe_one_channel_and_other_percentiles(rng):
    net, *_ = linear(rng)
    probe = rng.normal(size=(50, 4))
    recorder = ShiftRecorder(net, ["1"], probe, percentiles=[0, 100], channel=2)
    recorder.record(7)
    (record,) = recorder.records
    value = (probe @ weights(net)[0].T)[:, 2]
    assert (record.step, len(record.percentiles)) == (7, 2)
    np.testing.assert_allclose(record.percentiles, [value.min(), value.max()], rtol=1e-5)
    assert math.isnan(record.gradient_change)
    assert math.isnan(record.gradient_cosine)


def test_normalised_inputs_are_the_batchs_own(rng):
    net = Sequential([Dense(6), BatchNorm(), Sigmoid(), Dense(2)], input_shape=(4,), seed=1)
    recorder = ShiftRecorder(net, [net.layers[2]], rng.normal(3, 5, size=(200, 4)))
    recorder.record()
    (record,) = recorder.of("2")
    # The moving statistics, which are still 0 and 1, have no part in it.
    assert record.mean == pytest.approx(0, abs=1e-5)
    assert record.deviation == pytest.approx(1, abs=1e-3)


def network():
    layers = [Dense(6), BatchNorm(), Sigmoid(), Dropout(0.3), Dense(3), Softmax()]
    return Sequential(layers, input_shape=(4,), seed=1)


def test_training_goes_on_as_without_it(rng):
    x, labels = rng.normal(size=(60, 4)), rng.integers(0, 3, 60)
    plain, recorded = network(), network()
    one, other = (Trainer(net, optimizer=SGD(0.5, momentum=0.9), seed=4) for net in (plain, recorded))
    recorder = ShiftRecorder(recorded, ["1", "2", "4"], x)
    for step in range(4):
        batch = slice(15 * step, 15 * step + 15)
        assert one.step(x[batch], labels[batch]) == recorder.step(other, x[batch], labels[batch])
    for name, value in plain.state_dict().items():
        np.testing.assert_array_equal(recorded.state_dict()[name], value)
    # Softmax and cross-entropy are taken together, as a trainer takes them.
    changes = {name: [record.gradient_change for record in recorder.of(name)] for name in ("1", "2", "4")}
    assert all(change > 0 for change in changes["1"] + changes["4"])
    assert all(math.isnan(change) for change in changes["2"])


def test_a_fit_calls_it(rng):
    x, labels = rng.normal(size=(60, 4)), rng.integers(0, 3, 60)
    plain, recorded = network(), network()
    recorder = ShiftRecorder(recorded, ["2"], x, every=2)
    Trainer(plain).fit(x, labels, epochs=2, batch_size=15)
    Trainer(recorded).fit(x, labels, epochs=2, batch_size=15, callbacks=recorder)
    assert [record.step for record in recorder.records] == [2, 4, 6, 8]
    # A callback does not see the batch: the distributions alone.
    assert all(math.isnan(record.gradient_change) and math.isnan(record.gradient_cosine) for record in recorder.records)
    assert all(record.deviation > 0 for record in recorder.records)
    for name, value in plain.state_dict().items():
        np.testing.assert_array_equal(recorded.state_dict()[name], value)


def test_loops_by_hand_and_every(rng):
    net, x, y = linear(rng)
    optimizer, recorder = Optimizer(net, SGD(0.5)), ShiftRecorder(net, ["1"], loss="mse", every=2)
    for _ in range(3):
        recorder.before_step(x, y)
        first, second = weights(net)
        net.backward(martlet.loss("mse", net.forward(x, training=True), y).gradient)
        optimizer.step()
        recorder.after_step()
    assert [record.step for record in recorder.records] == [0, 2]
    _, g = gradients(first, second, x, y)
    _, h = gradients(weights(net)[0], second, x, y)
    assert recorder.records[-1].gradient_change == pytest.approx(np.linalg.norm(g - h), rel=1e-4)
    fresh = ShiftRecorder(net, ["1"], loss="mse")
    with pytest.raises(martlet.InvalidStateError, match="before_step first"):
        fresh.after_step()


def test_several_inputs_and_layers_that_do_not_train(rng):
    a, b = martlet.Input((2,), "a"), martlet.Input((3,), "b")
    joined = martlet.Concatenate()([Dense(4, name="left")(a), BatchNorm(name="right")(b)])
    net = martlet.Model([a, b], Dense(2, name="out")(joined))
    net.set_trainable("out", False)
    x, y = rng.normal(size=(10, 2)), rng.normal(5, 1, size=(10, 3))
    recorder = ShiftRecorder(net, ["right", "out"], [x, y], loss="mse")
    recorder.step(Trainer(net, loss="mse"), [x, y], rng.normal(size=(10, 2)))
    right, out = recorder.records
    assert right.mean == pytest.approx(y.mean(), rel=1e-6)
    assert right.gradient_change == 0
    assert math.isnan(out.gradient_change)


def test_files(rng, tmp_path):
    net, x, y = linear(rng)
    recorder = ShiftRecorder(net, ["0", "1"], x, loss="mse")
    recorder.record(0)
    recorder.step(Trainer(net, loss="mse"), x, y)
    recorder.save_csv(tmp_path / "shift.csv")
    recorder.save_json(tmp_path / "shift.json")
    with open(tmp_path / "shift.csv", newline="") as file:
        table = list(csv.DictReader(file))
    rows = json.loads((tmp_path / "shift.json").read_text())
    columns = ["step", "layer", "mean", "deviation", "p15", "p50", "p85", "gradient_change", "gradient_cosine"]
    assert list(table[0]) == list(rows[0]) == columns == recorder.columns
    assert len(table) == len(rows) == 4
    assert (table[0]["gradient_change"], rows[0]["gradient_change"]) == ("", None)
    assert float(table[3]["gradient_change"]) == rows[3]["gradient_change"] == recorder.records[3].gradient_change > 0


def test_every_percentile_is_a_column_of_its_own(rng, tmp_path):
    net, x, _ = linear(rng)
    recorder = ShiftRecorder(net, ["0"], x, percentiles=(99.95, 99.96, 1e-7, 100))
    recorder.record(0)
    recorder.save_csv(tmp_path / "shift.csv")
    with open(tmp_path / "shift.csv", newline="") as file:
        heading = next(csv.reader(file))
    assert heading == recorder.columns
    assert heading[4:8] == ["p99.95", "p99.96", "p1e-07", "p100"]
    with pytest.raises(martlet.InvalidArgumentError, match="percentiles: expected different numbers; got 50"):
        ShiftRecorder(net, ["0"], x, percentiles=(50, 15, 50))


def test_a_picture(rng, tmp_path):
    pytest.importorskip("matplotlib", reason="an extra: pictures are drawn with matplotlib")
    net, x, y = linear(rng)
    recorder = ShiftRecorder(net, ["0", "1"], x, loss="mse")
    trainer = Trainer(net, loss="mse")
    for _ in range(3):
        recorder.step(trainer, x, y)
    recorder.plot(tmp_path / "shift.png")
    assert (tmp_path / "shift.png").read_bytes().startswith(b"\x89PNG")


def test_refused(rng):
    net, x, y = linear(rng)
    with pytest.raises(martlet.InvalidArgumentError, match="no layer named 'nope'"):
        ShiftRecorder(net, ["nope"])
    with pytest.raises(martlet.InvalidArgumentError, match="at least one layer"):
        ShiftRecorder(net, [])
    with pytest.raises(martlet.InvalidArgumentError, match=r"0\.\.\.100"):
        ShiftRecorder(net, ["0"], percentiles=[101])
    with pytest.raises(martlet.InvalidArgumentError, match="channel: 5 is not one of the 5"):
        ShiftRecorder(net, ["1"], x, channel=5).record()
    with pytest.raises(martlet.InvalidStateError, match="needs a probe"):
        ShiftRecorder(net, ["1"]).record()
    with pytest.raises(martlet.InvalidArgumentError, match="is not recorded"):
        ShiftRecorder(net, ["1"]).of("0")
    node = martlet.Input((4,))
    shared, add = Dense(4), martlet.Add(name="add")
    twice = martlet.Model(node, add([shared(node), shared(shared(node))]))
    with pytest.raises(martlet.InvalidArgumentError, match="stands in 3 places"):
        ShiftRecorder(twice, [shared])
    with pytest.raises(martlet.InvalidArgumentError, match="reads 2 values"):
        ShiftRecorder(twice, ["add"])
    # A step that is refused leaves the recorder ready for the next.
    recorder, trainer = ShiftRecorder(net, ["1"], loss="mse"), Trainer(net, loss="mse")
    with pytest.raises(martlet.ShapeError):
        recorder.step(trainer, x, y[:3])
    recorder.step(trainer, x, y)
    assert len(recorder.records) == 1
