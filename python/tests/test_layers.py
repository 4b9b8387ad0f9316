"""Layers as descriptions: arguments, names, repr, and what a model makes of them."""

from __future__ import annotations

import numpy as np
import pytest

import martlet
from martlet import (
    BatchNorm,
    Dense,
    Dropout,
    Flatten,
    Initializer,
    Input,
    InputNormalization,
    InvalidArgumentError,
    InvalidStateError,
    Model,
    ReLU,
    Sequential,
    ShapeError,
    Sigmoid,
    Softmax,
    Tanh,
)


def run(layer, x):
    x = np.asarray(x, np.float32)
    return Sequential([layer], input_shape=x.shape[1:])(x)


def test_activations_compute():
    x = np.array([[-2.0, 0.0, 3.0]], np.float32)
    assert np.allclose(run(Sigmoid(), x), 1 / (1 + np.exp(-x)), atol=1e-6)
    assert np.allclose(run(Tanh(), x), np.tanh(x), atol=1e-6)
    assert np.array_equal(run(ReLU(), x), np.maximum(x, 0))
    assert np.allclose(run(Softmax(), x), np.exp(x) / np.exp(x).sum(), atol=1e-6)


def test_dense_is_x_times_the_transposed_weight_plus_bias(rng):
    net = Sequential([Dense(3, bias_initializer=Initializer("constant", 0.5))], input_shape=(4,))
    x = rng.normal(size=(5, 4)).astype(np.float32)
    assert np.allclose(net(x), x @ net.parameters()["0.weight"].T + 0.5, atol=1e-6)


def test_dense_without_bias_has_one_tensor():
    assert list(Sequential([Dense(3, bias=False)], input_shape=(4,)).state_dict()) == ["0.weight"]


@pytest.mark.parametrize(
    ("initializer", "check"),
    [
        ("zeros", lambda w: not w.any()),
        (Initializer("constant", 2.0), lambda w: (w == 2).all()),
        (Initializer("normal", 0.01), lambda w: 0.009 < w.std() < 0.011),
        ("glorot_uniform", lambda w: np.abs(w).max() <= np.sqrt(6 / 400) and w.std() > 0.06),
        ("glorot_normal", lambda w: 0.065 < w.std() < 0.076),
        ("he_uniform", lambda w: np.abs(w).max() <= np.sqrt(6 / 200) and w.std() > 0.09),
        (Initializer("he_normal"), lambda w: 0.095 < w.std() < 0.105),
    ],
)
def test_initializers(initializer, check):
    net = Sequential([Dense(200, weight_initializer=initializer)], input_shape=(200,), seed=3)
    assert check(net.parameters()["0.weight"])


@pytest.mark.parametrize("arguments", [("glorot",), ("normal",), ("zeros", 1.0), ("constant", "x"), (3,)])
def test_initializers_refuse(arguments):
    with pytest.raises(InvalidArgumentError):
        Initializer(*arguments)


@pytest.mark.parametrize("name", ["glorot", "normal", "constant", 3, None])
def test_initializers_by_name_are_those_without_a_value(name):
    with pytest.raises(InvalidArgumentError):
        Dense(3, weight_initializer=name)


def test_the_seed_alone_decides_the_weights():
    def weights(seed):
        return Sequential([Dense(3)], input_shape=(4,), seed=seed).state_dict()["0.weight"]

    assert np.array_equal(weights(5), weights(5))
    assert not np.array_equal(weights(5), weights(6))
    assert np.isfinite(weights(2**64 - 1)).all()


def test_dropout_drops_only_in_training(rng):
    x = np.ones((200, 50), np.float32)
    net = Sequential([Dropout(0.25)], input_shape=(50,))
    assert np.array_equal(net(x), x)
    y = net.forward(x, training=True)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert 0.2 < (y == 0).mean() < 0.3


def test_flatten_joins_the_axes_of_a_row(rng):
    x = rng.normal(size=(2, 3, 4)).astype(np.float32)
    assert np.array_equal(run(Flatten(), x), x.reshape(2, 12))


def test_input_normalization(rng):
    x = (rng.normal(size=(500, 3)) * [1, 100, 0] + [0, 1e4, 7]).astype(np.float32)
    net = Sequential([InputNormalization()], input_shape=(3,))
    net.fit_input_normalization(x, batch_size=64)
    y = net(x)
    assert np.allclose(y.mean(0), 0, atol=1e-5)
    assert np.allclose(y[:, :2].std(0), 1, atol=1e-5)
    assert not y[:, 2].any()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Dense(0), "units must be at least 1"),
        (lambda: Dense(2.5), "units must be a whole number"),
        (lambda: Dense(2, bias=3), "bias must be True or False"),
        (lambda: Dropout("half"), "rate must be a number"),
        (lambda: Dense(2, name="a\0b"), "name must not hold a NUL"),
        (lambda: Dense(2, name=7), "name must be a str"),
        (lambda: BatchNorm(momentum="fast"), "momentum must be a number"),
        (lambda: BatchNorm(normalize_with="moments"), "normalize_with must be one of 'batch', 'moving'"),
    ],
)
def test_arguments_that_cannot_be(make, words):
    with pytest.raises(InvalidArgumentError, match=words):
        make()


@pytest.mark.parametrize(
    "layer",
    [
        lambda: Dropout(1.0),
        lambda: Dropout(-0.1),
        lambda: Dropout(float("nan")),
        lambda: BatchNorm(epsilon=0.0),
        lambda: BatchNorm(epsilon=float("nan")),
        lambda: BatchNorm(momentum=1.5),
        lambda: BatchNorm(momentum=float("nan")),
        lambda: InputNormalization(epsilon=-1.0),
        lambda: InputNormalization(epsilon=float("inf")),
        lambda: Dense(3, weight_initializer=Initializer("normal", float("nan"))),
        lambda: Dense(3, name="with/slash"),
        lambda: Dense(3, name=""),
    ],
)
def test_numbers_out_of_range_are_refused_where_the_model_is_made(layer):
    with pytest.raises(InvalidArgumentError):
        Sequential([layer()], input_shape=(4,))


def test_names_of_a_graph_are_kind_and_number():
    x = Input((4,))
    net = Model(x, Dense(2)(ReLU()(Dense(3, name="dense_1")(Dense(3)(x)))))
    assert [layer.name for layer in net.layers] == ["dense_2", "dense_1", "relu_1", "dense_3"]


def test_names_must_be_unique():
    with pytest.raises(InvalidArgumentError, match="same"):
        Sequential([Dense(2, name="same"), Dense(2, name="same")], input_shape=(2,))


def test_repr_is_the_call_that_makes_it():
    for text in (
        "Dense(3)",
        "Dense(3, bias=False, name='a')",
        "Dense(3, weight_initializer=Initializer('normal', 0.5))",
        "BatchNorm()",
        "BatchNorm(momentum=None, epsilon=0.001, shift=False)",
        "Dropout(0.5)",
        "InputNormalization(epsilon=0.1)",
        "ReLU(name='r')",
    ):
        assert repr(eval(text)) == text


def test_a_layer_is_applied_to_nodes_not_arrays():
    with pytest.raises(InvalidArgumentError, match="got a ndarray"):
        Dense(3)(np.zeros((2, 3)))


def test_one_layer_has_one_model():
    layer = Dense(4)
    first = Sequential([layer], input_shape=(4,))
    assert layer.model is first
    with pytest.raises(InvalidArgumentError, match="another model"):
        Sequential([layer], input_shape=(4,))


def test_a_layer_knows_its_model():
    layer = Dense(2)
    with pytest.raises(InvalidStateError, match="not part of a model"):
        layer.model  # noqa: B018
    assert layer.parameters() == {}
    net = Sequential([layer], input_shape=(3,))
    assert layer.model is net
    layer.parameters()["bias"][:] = 4
    assert net.state_dict()["0.bias"].tolist() == [4, 4]
    del net
    with pytest.raises(InvalidStateError, match="outlived its model"):
        layer.model  # noqa: B018


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ShapeError, match='"1"'):
        Sequential([Flatten(), Dense(3), Flatten(), Dense(2)], input_shape=(0, 2))
    with pytest.raises(ShapeError, match="Flatten"):
        Sequential([Dense(3)], input_shape=(4, 4))


def test_martlet_exports_what_it_says():
    assert all(hasattr(martlet, name) for name in martlet.__all__)
    assert sorted(set(martlet.__all__)) == sorted(martlet.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Conv'"):
        martlet.Conv  # noqa: B018
