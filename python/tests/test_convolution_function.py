"""The convolution as a plain function (its values against PyTorch: test_goldens.py)."""

from __future__ import annotations

import numpy as np
import pytest

import martlet
from martlet import Conv2D, InvalidArgumentError, Sequential, ShapeError

CASES = [
    ((2, 3, 4, 5), (7, 5, 1, 1), {}),
    ((2, 6, 5, 2), (3, 2, 3, 2), {"strides": (2, 3), "padding": ((0, 1), (2, 1))}),
    ((2, 7, 8, 2), (3, 2, 3, 3), {"padding": 2, "dilation": (2, 3)}),
    ((2, 5, 5, 4), (4, 1, 3, 3), {"padding": "same", "groups": 4}),
    ((2, 6, 7, 32), (32, 32, 3, 3), {"padding": "same"}),
    ((2, 6, 7, 32), (32, 32, 3, 3), {"padding": "same", "algorithm": "direct"}),
]


@pytest.mark.parametrize(("shape", "filters", "options"), CASES)
def test_has_the_bits_of_the_layer(shape, filters, options, rng):
    x, weight, bias = (rng.normal(size=size).astype(np.float32) for size in (shape, filters, filters[:1]))
    net = Sequential([Conv2D(filters[0], filters[2:], **options)], input_shape=shape[1:])
    net.load_state_dict({"0.weight": weight, "0.bias": bias})
    want = net.forward(x, training=True)
    y = martlet.conv2d(x, weight, bias, **options)
    assert y.dtype == np.float32
    assert np.array_equal(y, want)
    dy = rng.normal(size=y.shape).astype(np.float32)
    found = martlet.conv2d_gradients(x, dy, weight, **options)
    assert np.array_equal(found.grad_input, net.backward(dy))
    assert np.array_equal(found.grad_weight, net.gradients()["0.weight"])
    assert np.array_equal(found.grad_bias, net.gradients()["0.bias"])


def arrays(rng):
    return (rng.normal(size=size).astype(np.float32) for size in ((2, 5, 4, 2), (3, 2, 3, 3), (2, 3, 2, 3)))


def test_results_go_where_they_are_wanted(rng):
    x, weight, dy = arrays(rng)
    y = np.full_like(dy, np.nan)
    assert martlet.conv2d(x, weight, out=y) is y
    assert np.array_equal(y, martlet.conv2d(x, weight))
    every = martlet.conv2d_gradients(x, dy, weight)
    fresh = martlet.ConvolutionGradients(*(np.full_like(array, np.nan) for array in every))
    again = martlet.conv2d_gradients(x, dy, weight, out=fresh)
    assert all(a is b and np.array_equal(a, c) for a, b, c in zip(again, fresh, every))
    for place, name in enumerate(("input", "weight", "bias")):
        alone = martlet.conv2d_gradients(x, dy, weight, wants=[name])
        assert [array is None for array in alone] == [i != place for i in range(3)]
        assert np.array_equal(alone[place], every[place])
    assert martlet.conv2d_gradients(x, dy, weight, wants=()) == (None, None, None)


def test_other_dtypes_and_strides(rng):
    x, weight, dy = arrays(rng)
    first = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    assert np.array_equal(martlet.conv2d(np.moveaxis(first, 1, -1), weight.astype(float)), martlet.conv2d(x, weight))
    whole = rng.integers(-5, 5, x.shape)
    assert np.array_equal(martlet.conv2d(whole, weight), martlet.conv2d(whole.astype(np.float32), weight))
    found = martlet.conv2d_gradients(x[::-1], dy[::-1], weight)
    assert np.allclose(found.grad_weight, martlet.conv2d_gradients(x, dy, weight).grad_weight, atol=1e-5)


def test_no_images():
    weight = np.ones((3, 2, 3, 3))
    assert martlet.conv2d(np.zeros((0, 5, 4, 2)), weight).shape == (0, 3, 2, 3)
    found = martlet.conv2d_gradients(np.zeros((0, 5, 4, 2)), np.zeros((0, 3, 2, 3)), weight)
    assert not found.grad_weight.any()
    assert not found.grad_bias.any()


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"x": np.zeros((5, 4, 2))}, ShapeError, "x has shape"),
        ({"x": np.zeros((2, 2, 4, 2))}, ShapeError, "height"),
        ({"x": np.zeros((2, 5, 4, 0))}, ShapeError, "x: images"),
        ({"x": [["a"]]}, TypeError, "x"),
        ({"weight": np.zeros((3, 2, 3))}, ShapeError, "weight has shape"),
        ({"weight": np.zeros((3, 4, 3, 3))}, ShapeError, "weight: 2 channels"),
        ({"weight": np.zeros((0, 2, 3, 3))}, ShapeError, "weight: the shape"),
        ({"bias": np.zeros(4)}, ShapeError, "bias"),
        ({"strides": 0}, InvalidArgumentError, "strides"),
        ({"strides": (1, 2, 3)}, InvalidArgumentError, "strides"),
        ({"padding": "full"}, InvalidArgumentError, "padding"),
        ({"padding": -1}, InvalidArgumentError, "padding"),
        ({"dilation": 1.5}, InvalidArgumentError, "dilation"),
        ({"groups": 0}, InvalidArgumentError, "groups"),
        ({"groups": 2}, ShapeError, "groups"),
        ({"algorithm": "fft"}, InvalidArgumentError, "algorithm"),
        ({"algorithm": "winograd", "strides": 2}, InvalidArgumentError, "winograd"),
        ({"out": np.zeros((2, 3, 2, 4), np.float32)}, ShapeError, "out"),
        ({"out": np.zeros((2, 3, 2, 3))}, InvalidArgumentError, "out"),
    ],
)
def test_refuses(options, error, words):
    given = {"x": np.zeros((2, 5, 4, 2), np.float32), "weight": np.zeros((3, 2, 3, 3), np.float32), **options}
    with pytest.raises(error, match=words):
        martlet.conv2d(given.pop("x"), given.pop("weight"), given.pop("bias", None), **given)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"x": np.zeros((5, 4, 2))}, ShapeError, "x"),
        ({"grad_output": np.zeros((2, 3, 2, 4))}, ShapeError, "grad_output"),
        ({"weight": np.zeros((3, 2, 3))}, ShapeError, "weight"),
        ({"strides": -1}, InvalidArgumentError, "strides"),
        ({"wants": "input"}, InvalidArgumentError, "wants"),
        ({"wants": ["x"]}, InvalidArgumentError, "wants"),
        ({"wants": 3}, InvalidArgumentError, "wants"),
        ({"out": (None, None)}, InvalidArgumentError, "three"),
        ({"wants": ["input"], "out": (None, None, np.zeros(3, np.float32))}, InvalidArgumentError, "wants"),
        ({"out": (None, None, np.zeros(4, np.float32))}, ShapeError, "out"),
    ],
)
def test_gradients_refuse(options, error, words):
    shapes = {"x": (2, 5, 4, 2), "grad_output": (2, 3, 2, 3), "weight": (3, 2, 3, 3)}
    given = {**{name: np.zeros(shape, np.float32) for name, shape in shapes.items()}, **options}
    with pytest.raises(error, match=words):
        martlet.conv2d_gradients(given.pop("x"), given.pop("grad_output"), given.pop("weight"), **given)


def test_results_share_memory_with_nothing(rng):
    x, weight, dy = arrays(rng)
    with pytest.raises(InvalidArgumentError, match="y shares memory with x"):
        martlet.conv2d(x, weight, out=x.reshape(-1)[: dy.size].reshape(dy.shape))
    with pytest.raises(InvalidArgumentError, match="grad_input shares memory with x"):
        martlet.conv2d_gradients(x, dy, weight, out=(x, None, None))
