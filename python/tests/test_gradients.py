"""Gradients through the public API, against differences in float64 of a plain NumPy model.

The loss is the sum of r * y for a fixed random r: the sum or mean of a normalised output has almost no gradient, and a check
on it passes with a wrong backward pass.
"""

from __future__ import annotations

import numpy as np
import pytest

from martlet import BatchNorm, Dense, Flatten, ReLU, Sequential, Sigmoid, Softmax, Tanh

_ACTIVATIONS = {
    "sigmoid": (Sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    "tanh": (Tanh, np.tanh),
    "relu": (ReLU, lambda x: np.maximum(x, 0)),
}
#: Float32 forward and backward passes of values near 1 through a few sums of tens of terms.
TOLERANCE = 2e-4


def reference(x, p, layers, training):
    """The network in float64. p: parameters and state by name."""
    for name, kind in layers:
        if kind == "dense":
            x = x @ p[f"{name}.weight"].T + p[f"{name}.bias"]
        elif kind == "batch_norm":
            axes = tuple(range(x.ndim - 1))
            batch = training
            mean = x.mean(axes) if batch else p[f"{name}.running_mean"]
            variance = x.var(axes) if batch else p[f"{name}.running_var"]
            x = (x - mean) / np.sqrt(variance + 1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]
        elif kind == "softmax":
            e = np.exp(x - x.max(-1, keepdims=True))
            x = e / e.sum(-1, keepdims=True)
        elif kind == "flatten":
            x = x.reshape(len(x), -1)
        else:
            x = _ACTIVATIONS[kind][1](x)
    return x


def numerical(f, value, step=1e-5):
    """df/dvalue by central differences."""
    found = np.zeros_like(value)
    for place in np.ndindex(*value.shape):
        kept = value[place]
        value[place] = kept + step
        above = f()
        value[place] = kept - step
        found[place] = (above - f()) / (2 * step)
        value[place] = kept
    return found


def check(net, x, rng, training_statistics=True):
    layers = [(layer.name, layer.kind) for layer in net.layers]
    for name, value in net.parameters().items():
        value[:] = rng.normal(1.0 if name.endswith("weight") and value.ndim == 1 else 0.0, 0.7, value.shape)
    p = {name: value.astype(float) for name, value in net.state_dict().items()}
    x64 = x.astype(float)
    output = net.forward(x, training=True)
    assert np.allclose(output, reference(x64, p, layers, training_statistics), atol=1e-5)
    r = rng.normal(size=output.shape).astype(np.float32)
    found = {"input": net.backward(r), **net.gradients()}

    def loss():
        return float((r * reference(x64, p, layers, training_statistics)).sum())

    for name, gradient in found.items():
        expected = numerical(loss, x64 if name == "input" else p[name])
        assert np.abs(gradient - expected).max() < TOLERANCE * max(1, np.abs(expected).max()), name


@pytest.mark.parametrize("activation", sorted(_ACTIVATIONS))
def test_dense_norm_activation(activation, rng):
    layer = _ACTIVATIONS[activation][0]
    net = Sequential([Dense(5), BatchNorm(), layer(), Dense(4), BatchNorm(), layer(), Dense(3)], input_shape=(4,))
    check(net, rng.normal(size=(9, 4)).astype(np.float32), rng)


def test_norm_after_the_activation(rng):
    net = Sequential([Dense(5), Tanh(), BatchNorm(), Dense(3)], input_shape=(4,))
    check(net, rng.normal(size=(8, 4)).astype(np.float32), rng)


def test_softmax_at_the_end(rng):
    net = Sequential([BatchNorm(), Dense(4), Softmax()], input_shape=(3,))
    check(net, rng.normal(size=(7, 3)).astype(np.float32), rng)


def test_images(rng):
    net = Sequential([BatchNorm(), Sigmoid(), Flatten(), Dense(3)], input_shape=(3, 2, 2))
    check(net, rng.normal(size=(5, 3, 2, 2)).astype(np.float32), rng)


def test_frozen_statistics_are_constants(rng):
    net = Sequential([Dense(5), BatchNorm(), Sigmoid(), Dense(3)], input_shape=(4,))
    net.layers[1].normalize_with = "moving"
    net.layers[1].updates_moving = False
    net.state()["1.running_mean"][:] = rng.normal(size=5)
    net.state()["1.running_var"][:] = rng.uniform(0.5, 2, size=5)
    check(net, rng.normal(size=(6, 4)).astype(np.float32), rng, training_statistics=False)


@pytest.mark.parametrize("fault", ["sign", "mean", "inverse"])
def test_the_check_rejects_wrong_gradients(fault, rng):
    net = Sequential([Dense(5), BatchNorm(), Dense(3)], input_shape=(4,))
    backward, gradients = net.backward, net.gradients

    class Wrong:
        def __getattr__(self, name):
            return getattr(net, name)

        def backward(self, r):
            found = backward(r)
            if fault == "sign":
                return -found
            return found + found.mean(0) + 0.01 if fault == "mean" else found * (len(found) / (len(found) - 1))

        def gradients(self):
            return gradients()

    with pytest.raises(AssertionError, match="input"):
        check(Wrong(), rng.normal(size=(9, 4)).astype(np.float32), rng)
