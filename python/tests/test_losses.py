"""Which targets each loss takes, what is said of others, and what happens when they change in use (docs/losses.md)."""

from __future__ import annotations

import math

import numpy as np
import pytest

import martlet
from martlet import (
    SGD,
    BatchNorm,
    Dense,
    DTypeError,
    InvalidArgumentError,
    Model,
    ReLU,
    Sequential,
    ShapeError,
    Sigmoid,
    Softmax,
    Trainer,
)
from martlet.progress import Progress
from martlet.shift import ShiftRecorder

LOGITS = np.array([[0.4, 0.8, 0.6], [0.3, 0.0, 0.5]], np.float32)
X = np.linspace(-1, 1, 4, dtype=np.float32).reshape(2, 2)


def doors(kind, output_columns, target):
    """The same targets through every door; each is a call without arguments."""
    rows = len(target)
    x = np.linspace(-1, 1, 2 * rows, dtype=np.float32).reshape(rows, 2)
    net = Sequential([Dense(output_columns)], input_shape=(2,), seed=0)
    trainer = Trainer(net, loss=kind)
    recorder = ShiftRecorder(net, ["0"], loss=kind)
    return [
        lambda: martlet.loss(kind, np.zeros((rows, output_columns)), target),
        lambda: trainer.step(x, target),
        lambda: trainer.fit(x, target),
        lambda: trainer.evaluate(x, target),
        lambda: trainer.step_micro_batches([(x, target)]),
        lambda: trainer.step_micro_batches([(x, target)], statistics="whole"),
        lambda: net.check(x, target, loss=kind),
        lambda: recorder.step(trainer, x, target),
    ]


@pytest.mark.parametrize(
    ("kind", "columns", "target", "error", "words"),
    [
        ("cross_entropy", 3, -np.eye(3)[:2], InvalidArgumentError, ["got -1.0 in row 0, column 0", "another loss"]),
        ("cross_entropy", 3, [[1.5, -0.5, 0], [1, 0, 0]], InvalidArgumentError, ["got -0.5 in row 0, column 1"]),
        ("cross_entropy", 3, [[1, 0, 0], [math.nan, 0, 1]], InvalidArgumentError, ["got nan in row 1"]),
        ("cross_entropy", 3, [[1, 0, 0], [0, 0, 2.5]], InvalidArgumentError, ["sum of 2.5 in row 1", "Divide each row"]),
        ("cross_entropy", 3, [[0, 1, 2], [1, 0, 0]], InvalidArgumentError, ["one-hot", "sum of 3 in row 0", "integers [2]"]),
        ("cross_entropy", 3, [0.0, 2.0], ShapeError, ["integer labels [2] in 0..<3", "numbers with .astype(int)"]),
        ("cross_entropy", 3, [0, 3], InvalidArgumentError, ["labels in 0..<3", "got 3 in row 1", "Number the classes"]),
        ("mse", 1, [1.0, math.nan], InvalidArgumentError, ["finite values for mse", "got nan in row 1, column 0"]),
        ("mse", 1, [[1.0], [-math.inf]], InvalidArgumentError, ["got -inf in row 1"]),
        ("mse", 1, [1e300, 0], InvalidArgumentError, ["got 1e+300, which float32 cannot hold, in row 0"]),
        ("mse", 2, [1.0, 2.0], ShapeError, ["the output's shape [2, 2] for mse", "got float64 [2]"]),
        ("bce", 1, [0.0, -1.0], InvalidArgumentError, ["values in 0...1 for bce", "got -1.0 in row 1"]),
    ],
)
def test_every_door_refuses_the_same_targets_in_the_same_words(kind, columns, target, error, words):
    for door in doors(kind, columns, np.asarray(target)):
        with pytest.raises(error) as caught:
            door()
        for word in words:
            assert word in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "columns", "target"),
    [
        ("cross_entropy", 3, [2, 0]),
        ("cross_entropy", 3, [[2], [0]]),
        ("cross_entropy", 3, [[0, 0, 1], [1, 0, 0]]),
        ("cross_entropy", 3, np.float16([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]])),
        ("mse", 1, [2, 0]),
        ("mse", 1, [[2.0], [0.0]]),
        ("bce", 1, [True, False]),
        ("bce", 2, [[0.5, 1], [0, 1]]),
    ],
)
def test_every_door_takes_the_same_targets(kind, columns, target):
    for door in doors(kind, columns, np.asarray(target)):
        door()


def test_a_vector_is_the_column_of_an_output_of_one_column(rng):
    x, y = rng.normal(size=(40, 3)), rng.normal(size=40)
    losses = []
    for target in (y, y[:, None]):
        net = Sequential([Dense(1)], input_shape=(3,), seed=0)
        losses.append(Trainer(net, "mse", SGD(0.1)).fit(x, target, epochs=3).loss)
    assert losses[0] == losses[1]


def test_one_class_has_no_cross_entropy():
    net = Sequential([Dense(1)], input_shape=(2,))
    with pytest.raises(ShapeError, match=r'output 0 \("0"\), whose cross-entropy is always 0 .* Use bce'):
        Trainer(net)
    with pytest.raises(ShapeError, match="2 or more classes"):
        martlet.loss("cross_entropy", [[0.5], [0.1]], [[0], [0]])
    with pytest.raises(ShapeError, match="always 0"):
        net.check(X, [[0], [0]])
    with pytest.raises(ShapeError, match="always 0"):
        ShiftRecorder(net, ["0"]).step(Trainer(net, "mse"), X, [[0], [0]])


def test_a_head_of_one_value_is_refused_by_name():
    x = martlet.Input((3,))
    hidden = ReLU()(Dense(4)(x))
    net = Model(x, [Dense(5, name="kind")(hidden), Dense(1, name="value")(hidden)])
    with pytest.raises(ShapeError, match=r'output 1 \("value"\)'):
        Trainer(net)


def test_text_is_told_to_become_class_numbers():
    trainer = Trainer(Sequential([Dense(2)], input_shape=(2,)))
    for names in (np.array(["cat", "dog"]), ["cat", "dog"], np.array(["cat", "dog"], object)):
        with pytest.raises(DTypeError, match=r"y holds text; expected integer labels .* np.unique\(y, return_inverse=True\)"):
            trainer.fit(X, names)


def test_binary_cross_entropy_of_infinite_logits():
    far = [[math.inf], [-math.inf]]
    found = martlet.loss("bce", far, [1, 0])
    assert found.loss == 0
    assert found.correct == 2
    assert not found.gradient.any()
    assert martlet.loss("bce", far, [0, 1]).loss == math.inf


# -- the last activation --


def blobs(rng):
    y = rng.integers(0, 2, 200)
    return (rng.normal(size=(200, 3)) + 2 * y[:, None] - 1).astype(np.float32), y


def test_a_last_sigmoid_is_taken_together_with_binary_cross_entropy(rng):
    x, y = blobs(rng)
    nets = [Sequential([Dense(8), ReLU(), Dense(1), *last], input_shape=(3,), seed=3) for last in ([], [Sigmoid()])]
    trainers = [Trainer(net, "bce", SGD(0.5)) for net in nets]
    histories = [trainer.fit(x, y, epochs=8) for trainer in trainers]
    assert histories[0].loss == histories[1].loss
    plain, squashed = (trainer.evaluate(x, y) for trainer in trainers)
    assert plain == squashed
    probability = nets[1].predict(x)[:, 0]
    assert squashed.accuracy == np.mean((probability > 0.5) == y) > 0.9
    assert squashed.loss == pytest.approx(-np.mean(np.log(np.where(y, probability, 1 - probability))), rel=1e-5)
    assert "last_activation" not in nets[1].check(x, y, loss="bce").codes
    recorders = [ShiftRecorder(net, ["2"], loss="bce") for net in nets]
    changes = []
    for recorder, trainer in zip(recorders, trainers):
        recorder.step(trainer, x, y)
        changes.append(recorder.records[0].gradient_change)
    assert changes[0] == changes[1] > 0


def test_check_names_other_last_activations(rng):
    x, y = blobs(rng)
    sigmoid = Sequential([Dense(2), Sigmoid()], input_shape=(3,))
    found = sigmoid.check(x, y)
    assert [finding.layer for finding in found if finding.code == "last_activation"] == ["1"]
    assert "softmax of its own" in str(found)
    softmax = Sequential([Dense(2), Softmax()], input_shape=(3,))
    assert "last_activation" in softmax.check(x, np.eye(2)[y], loss="bce").codes
    assert "last_activation" not in softmax.check(x, y).codes
    assert "last_activation" not in sigmoid.check(x, np.eye(2)[y], loss="mse").codes
    assert "last_activation" not in sigmoid.check().codes  # what it is trained for is not known
    inside = Sequential([Dense(4), Softmax(name="early"), Dense(2), Softmax()], input_shape=(3,))
    assert [finding.layer for finding in inside.check() if finding.code == "softmax_inside"] == ["early"]


# -- figures that there are not --


def test_no_rows_have_no_mean_loss():
    trainer = Trainer(Sequential([Dense(2)], input_shape=(2,)))
    nothing = X[:0], np.zeros(0, int)
    for result in (trainer.evaluate(*nothing), trainer.step(*nothing), trainer.step_micro_batches([])):
        assert math.isnan(result.loss)
        assert math.isnan(result.accuracy)
        assert result.rows == 0
    assert math.isnan(martlet.loss("mse", np.zeros((0, 2)), np.zeros((0, 2))).loss)
    before = trainer.model.state_dict()
    with pytest.raises(InvalidArgumentError, match="expected 1 row or more; got 0"):
        trainer.fit(X, [0, 1], validation_data=nothing)
    assert all(np.array_equal(before[name], value) for name, value in trainer.model.state_dict().items())


def test_squared_error_has_no_accuracy(rng):
    import io

    x, y = rng.normal(size=(20, 2)), rng.normal(size=20)
    trainer = Trainer(Sequential([Dense(1)], input_shape=(2,)), "mse")
    out, events = io.StringIO(), []
    bar = Progress(2, stream=out, seconds=0)
    history = trainer.fit(x, y, batch_size=10, validation_data=(x, y), callbacks=events.append, progress=bar)
    assert "loss" in out.getvalue()
    assert "accuracy" not in out.getvalue()
    assert math.isnan(history.accuracy[0])
    assert math.isnan(history.validation_accuracy[0])
    for result in (trainer.step(x, y), trainer.evaluate(x, y), events[0].training, events[-1].validation):
        assert result.correct is None
        assert math.isnan(result.accuracy)
    assert martlet.loss("mse", x, x).correct is None


# -- targets that change in use --


@pytest.mark.parametrize("wrong", [7, 10**6, -1, 2**40, -(2**63)])
def test_a_callback_that_writes_labels_ends_the_fit(rng, wrong):
    x, y = rng.normal(size=(64, 3)).astype(np.float32), rng.integers(0, 5, 64)
    net = Sequential([Dense(8), BatchNorm(), ReLU(), Dense(5)], input_shape=(3,), seed=0)
    trainer, states = Trainer(net, optimizer=SGD(0.1)), []

    def spoil(event):
        states.append(net.state_dict())
        if event.step == 3:
            y[:] = wrong

    with pytest.raises(InvalidArgumentError, match=rf"expected labels in 0\.\.<5, .* got {wrong} in row \d+"):
        trainer.fit(x, y, batch_size=16, callbacks=spoil)
    assert len(states) == 3
    after = net.state_dict()
    assert all(np.array_equal(after[name], value) for name, value in states[-1].items())
    assert trainer.step(x, np.zeros(64, int)).rows == 64


@pytest.mark.parametrize(("kind", "wrong"), [("mse", math.nan), ("bce", 2.0), ("cross_entropy", -1.0)])
def test_a_callback_that_writes_values_ends_the_fit(rng, kind, wrong):
    x, y = rng.normal(size=(64, 3)), np.eye(5)[rng.integers(0, 5, 64)]
    trainer = Trainer(Sequential([Dense(5)], input_shape=(3,)), kind)

    def spoil(event):
        y[:] = wrong

    with pytest.raises(InvalidArgumentError, match="in row"):
        trainer.fit(x, y, batch_size=16, callbacks=spoil)
