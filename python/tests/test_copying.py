"""Pickling and copying: by value where that is possible, else an error that names the class and what to do."""

from __future__ import annotations

import copy
import gc
import pickle
import sys

import numpy as np
import pytest

import martlet
from martlet import SGD, BatchNorm, Dense, Optimizer, Sequential, Tensor, Trainer
from martlet._handle import Owner
from martlet.shift import ShiftRecorder

WAYS = {"pickle": lambda value: pickle.loads(pickle.dumps(value)), "copy": copy.copy, "deepcopy": copy.deepcopy}


@pytest.fixture
def ignored(monkeypatch):
    """What destructors raised."""
    found = []
    monkeypatch.setattr(sys, "unraisablehook", lambda event: found.append(str(event.exc_value)))
    yield found
    gc.collect()
    assert found == []


def network():
    return Sequential([Dense(2), BatchNorm()], input_shape=(3,), seed=4)


def closed_to_copies():
    net = network()
    return {
        "Trainer": (Trainer(net), "Pickle the model, trainer.model"),
        "Optimizer": (Optimizer(net, SGD(0.1)), "Pickle the model and the rule, optimizer.rule"),
        "ShiftRecorder": (ShiftRecorder(net, ["0"]), "recorder.records"),
    }


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("kind", ["Trainer", "Optimizer", "ShiftRecorder"])
def test_what_cannot_be_copied_says_what_to_do(kind, way, ignored):
    thing, remedy = closed_to_copies()[kind]
    with pytest.raises(martlet.UnsupportedError, match=f"a {kind} cannot be pickled or copied") as caught:
        WAYS[way](thing)
    assert remedy in str(caught.value)
    assert "ctypes" not in str(caught.value)


@pytest.mark.parametrize("way", list(WAYS))
def test_a_tensor_is_copied_by_value(way, ignored):
    tensor = Tensor([[1.0, 2.0], [3.0, 4.0]])
    other = WAYS[way](tensor)
    assert type(other) is Tensor
    np.testing.assert_array_equal(other.numpy(), tensor.numpy())
    other.numpy()[0, 0] = 9
    assert tensor[0, 0] == 1
    tensor.close()
    with pytest.raises(martlet.InvalidStateError, match="this Tensor is closed"):
        WAYS[way](tensor)


@pytest.mark.parametrize("way", list(WAYS))
def test_a_model_and_its_layers_are_copied(way, ignored):
    net = network()
    x = np.ones((4, 3), np.float32)
    other = WAYS[way](net)
    np.testing.assert_array_equal(other(x), net(x))
    other.parameters()["0.weight"][:] = 0
    assert np.abs(net.state_dict()["0.weight"]).max() > 0
    # A layer is copied as a description, for another model.
    net.layers[1].freeze()
    again = Sequential([WAYS[way](layer) for layer in net.layers], input_shape=(3,))
    assert [repr(layer) for layer in again.layers] == [repr(layer) for layer in net.layers]
    assert again.layers[1].normalize_with == "moving"


@pytest.mark.parametrize("way", list(WAYS))
def test_results_are_copied(way, ignored):
    net, x, y = network(), np.random.default_rng(0).normal(size=(8, 3)), np.arange(8) % 2
    history = Trainer(net).fit(x, y, epochs=2, batch_size=4)
    assert WAYS[way](history).loss == history.loss
    _, certificate = net.fold()
    assert WAYS[way](certificate).layers == certificate.layers
    findings = net.check()
    assert WAYS[way](findings).codes == findings.codes
    assert repr(WAYS[way](SGD(0.1, momentum=0.9))) == repr(SGD(0.1, momentum=0.9))


def test_an_owner_is_one(ignored):
    net = network()
    with pytest.raises(martlet.UnsupportedError, match="cannot be copied or pickled"):
        copy.copy(net._owner)
    half_made = Owner.__new__(Owner)
    del half_made
    gc.collect()


def test_errors_have_the_name_that_users_catch():
    for error in (martlet.ShapeError, martlet.MartletError, martlet.LibraryNotFoundError):
        assert error.__module__ == "martlet"
        assert pickle.loads(pickle.dumps(error("words"))).args == ("words",)
