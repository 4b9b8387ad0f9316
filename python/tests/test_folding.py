"""Folding batch norms into the weights beside them, and its certificate."""

from __future__ import annotations

import numpy as np
import pytest

import martlet
from martlet import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Input,
    InvalidArgumentError,
    Model,
    ReLU,
    Sequential,
    ShapeError,
    Sigmoid,
)


def shaken(net):
    """The model with norms and biases away from 0 and 1."""
    rng = np.random.default_rng(3)
    values = {name: value for name, value in net.state_dict().items() if value.dtype == np.float32}
    for name, value in values.items():
        low = 0.5 if name.endswith("running_var") or (value.ndim == 1 and name.endswith("weight")) else -0.5
        if value.ndim == 1:
            values[name] = rng.uniform(low, low + 1, value.shape)
    net.load_state_dict(values, strict=False)
    return net


@pytest.fixture
def images():
    return np.random.default_rng(1).normal(size=(9, 6, 6, 2)).astype(np.float32)


def test_the_formula_of_a_norm_behind():
    net = shaken(Sequential([Dense(5, bias=False), BatchNorm(), Sigmoid(), Dense(3)], input_shape=(4,)))
    folded, certificate = net.fold()
    tensors = {name: value.astype(np.float64) for name, value in net.state_dict().items()}
    multiplier = tensors["1.weight"] / np.sqrt(tensors["1.running_var"] + 1e-5)
    new = folded.state_dict()
    assert list(new) == ["0.weight", "0.bias", "3.weight", "3.bias"]
    assert np.array_equal(new["0.weight"], (tensors["0.weight"] * multiplier[:, None]).astype(np.float32))
    bias = tensors["1.bias"] - tensors["1.running_mean"] * multiplier
    np.testing.assert_allclose(new["0.bias"], bias, rtol=1e-6, atol=1e-7)
    assert type(folded) is Sequential
    assert [layer.outcome for layer in certificate.layers] == ["changed", "folded", "unchanged", "unchanged"]
    assert certificate.outputs is None
    assert certificate.within_bounds


def test_convolutions_before_and_behind(images):
    net = shaken(
        Sequential(
            [
                Conv2D(4, 3, padding="same", groups=2, bias=False),
                BatchNorm(),
                ReLU(),
                BatchNorm(scale=False),
                Conv2D(4, 3),
                ReLU(),
                Dropout(0.5),
                BatchNorm(shift=False),
                Flatten(),
                Dense(3),
            ],
            input_shape=(6, 6, 2),
        )
    )
    expected = net.predict(images)
    folded, certificate = net.fold(images)
    assert [layer.kind for layer in folded.layers] == ["conv2d", "relu", "conv2d", "relu", "flatten", "dense"]
    (output,) = certificate.outputs
    found = folded.predict(images)
    assert output.absolute == np.abs(found.astype(np.float64) - expected).max()
    assert output.relative == output.absolute / np.abs(expected).max()
    assert 0 < output.absolute <= output.bound < 1e-2
    assert certificate.within_bounds
    assert np.array_equal(net.predict(images), expected)
    assert "3 of 3 batch norms folded" in str(certificate) == repr(certificate)


def test_what_stays_says_why(images):
    x = Input((6, 6, 2))
    normed = BatchNorm(name="first")(x)
    padded = Conv2D(2, 3, padding="same", name="padded")(normed)
    out = BatchNorm(name="last")(ReLU(name="relu")(padded))
    folded, certificate = Model(x, out).fold(images)
    details = {layer.name: layer.detail for layer in certificate.layers if layer.outcome == "kept"}
    assert details["first"] == (
        'kept: before it is the input "input"; behind it "padded" (conv2d) pads with zeros, which would be shifted'
    )
    assert details["last"] == 'kept: before it is "relu" (relu), which has no weights; its value is an output of the model'
    assert len(folded.layers) == 4
    assert certificate.outputs[0].absolute == 0
    measured = {layer.name for layer in certificate.layers if layer.difference}
    assert {"first", "last"} <= measured


def test_saves_and_loads(images, tmp_path):
    net = shaken(Sequential([Conv2D(3, 2, bias=False), BatchNorm()], input_shape=(6, 6, 2)))
    folded, _ = net.fold()
    folded.save(tmp_path / "folded.safetensors")
    loaded = martlet.load(tmp_path / "folded.safetensors")
    assert np.array_equal(loaded.predict(images), folded.predict(images))
    assert repr(loaded.layers) == repr(folded.layers)
    net.close()  # the folded model is independent
    assert folded.predict(images).shape == (9, 5, 5, 3)


def test_refuses_other_data(images):
    net = Sequential([Dense(2), BatchNorm()], input_shape=(3,))
    with pytest.raises(ShapeError, match="data"):
        net.fold(images)
    with pytest.raises(InvalidArgumentError, match="1 or more rows"):
        net.fold(np.zeros((0, 3)))
    with pytest.raises(InvalidArgumentError, match="finite"):
        net.fold([[0, np.nan, 1]])
