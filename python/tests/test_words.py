"""Errors name arguments as the caller's function does: x and y, not C's inputs[0] and targets[0]."""

from __future__ import annotations

import re

import numpy as np
import pytest

import martlet
from martlet import Dense, InvalidArgumentError, Model, Sequential, ShapeError, Trainer
from martlet._words import in_python
from martlet.shift import ShiftRecorder

X = np.ones((4, 3), np.float32)
WIDE = np.ones((4, 5), np.float32)
C_NAMES = re.compile(r"inputs\[|targets\[|outputs\[|grad_outputs|(?<!_)data\[0\]|options\.")


@pytest.fixture
def net():
    return Sequential([Dense(2)], input_shape=(3,))


def test_one_array_has_the_arguments_name(net):
    trainer, recorder = Trainer(net), ShiftRecorder(net, ["0"])
    net.forward(X, training=True)
    calls = {
        "x: ": [
            lambda: net(WIDE),
            lambda: net.predict(WIDE),
            lambda: net.predict(WIDE.astype(np.float64), batch_size=2),
            lambda: net.forward(WIDE, training=False),
            lambda: trainer.step(WIDE, [0, 1, 0, 1]),
            lambda: trainer.fit(WIDE, [0, 1, 0, 1]),
            lambda: trainer.evaluate(WIDE, [0, 1, 0, 1]),
            lambda: recorder.step(trainer, WIDE, [0, 1, 0, 1]),
            lambda: net.check(WIDE),
        ],
        "y: ": [
            lambda: trainer.step(X, [0, 1]),
            lambda: trainer.fit(X, [0, 1, 2, 0]),
            lambda: trainer.evaluate(X, [0, 1, -1, 0]),
            lambda: recorder.step(trainer, X, [0, 1]),
            lambda: net.check(X, [0, 1]),
        ],
        "grad_output: ": [lambda: net.backward(WIDE)],
        "data: ": [lambda: net.fold(WIDE)],
        "validation_data[0]: ": [lambda: trainer.fit(X, [0, 1, 0, 1], validation_data=(WIDE, [0, 1, 0, 1]))],
        "validation_data[1]: ": [lambda: trainer.fit(X, [0, 1, 0, 1], validation_data=(X, [0, 1, 0, 9]))],
        "batches[1][0]: ": [lambda: trainer.step_micro_batches([(X, [0, 1, 0, 1]), (WIDE, [0, 1, 0, 1])])],
        "batches[0][1]: ": [lambda: trainer.step_micro_batches([(X, [0, 1, 0, 7])])],
        "target: ": [lambda: martlet.loss("cross_entropy", X, [0, 1])],
    }
    for start, doors in calls.items():
        for number, door in enumerate(doors):
            with pytest.raises((ShapeError, InvalidArgumentError)) as caught:
                door()
            message = str(caught.value)
            assert message.startswith(start), f"{start}{number}: {message}"
            assert not C_NAMES.search(message), message


def test_several_arrays_have_their_number():
    a, b = martlet.Input((3,)), martlet.Input((2,))
    net = Model([a, b], [Dense(2)(a), Dense(3)(b)])
    trainer = Trainer(net)
    good = [X, np.ones((4, 2))], [[0, 1, 0, 1], [0, 1, 2, 0]]
    with pytest.raises(ShapeError, match=r"^x\[1\]: "):
        trainer.step([X, X], good[1])
    with pytest.raises(ShapeError, match=r"^x\[0\]: "):
        trainer.step([WIDE, good[0][1]], good[1])
    with pytest.raises(InvalidArgumentError, match=r"^y\[1\]: "):
        trainer.fit(good[0], [good[1][0], [0, 1, 2, 3]])
    with pytest.raises(InvalidArgumentError, match=r"^y\[0\]: "):
        trainer.fit(good[0], [[0, 1, 2, 3], good[1][1]])


def test_remedies_are_pythons(net):
    norm = Sequential([martlet.BatchNorm(), Dense(2)], input_shape=(3,))
    for call, words in (
        (lambda: Trainer(net).fit(X, np.zeros(4)), ".astype(int)"),
        (lambda: Trainer(norm).step(X[:1], [0]), "training=False"),
        (lambda: Trainer(norm).fit(X, [0, 1, 0, 1], batch_size=3), "drop_last=True"),
        (lambda: net.load_state_dict({}), "strict=False"),
    ):
        with pytest.raises((ShapeError, InvalidArgumentError)) as caught:
            call()
        assert words in str(caught.value)
        assert "Swift" not in str(caught.value)
    assert "drop_last=True" in str(norm.check(X, batch_size=3))


def test_only_names_of_arguments_change():
    for message in (
        'layer "my.inputs[0]" is not there',
        "The model has 2 outputs; use another function",
        "the model's inputs: 3",
        "data_targets[0] is a name of its own",
    ):
        assert in_python(message, "martlet_trainer_step", ()) == message
    assert in_python("x shares memory with outputs[0]", "martlet_model_predict", ()) == "x shares memory with out"
