"""Batch norm on everything with a channel axis: rows, sequences, images, volumes, channels last or first, against float64."""

from __future__ import annotations

import numpy as np
import pytest

import martlet
from martlet import BatchNorm, Sequential

SHAPES = [(12, 3), (5, 4, 3), (3, 4, 5, 3), (3, 2, 4, 3, 3)]
LAYOUTS = ["last", "first", "view"]
EPSILON, MOMENTUM = 1e-5, 0.9
#: Float32 results of sizes near 1, but for grad_input a difference of numbers of that size.
TOLERANCE = 1e-5

each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
each_layout = pytest.mark.parametrize("layout", LAYOUTS)


def laid_out(x, layout):
    """The same numbers: contiguous with channels last, contiguous with channels first, or the one seen as the other."""
    if layout == "last":
        return x, -1
    first = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    return (first, 1) if layout == "first" else (np.moveaxis(first, 1, -1), -1)


def channels_last(y, layout):
    return np.moveaxis(y, 1, -1) if layout == "first" else y


def numbers(shape, rng):
    """x, the cotangent, scale, shift."""
    x = rng.normal(3, 2, size=shape).astype(np.float32)
    return x, rng.normal(size=shape).astype(np.float32), *rng.normal(size=(2, shape[-1])).astype(np.float32)


def statistics(x):
    rows = x.astype(float).reshape(-1, x.shape[-1])
    return rows.mean(0), rows.var(0)


def normalised(x, mean, variance):
    return (x.astype(float) - mean) / np.sqrt(variance + EPSILON)


def gradients(x, r, scale, mean, variance, batch):
    """Of the sum of r * y, by x, scale and shift. batch: the statistics are those of x."""
    channels = x.shape[-1]
    xhat, r = normalised(x, mean, variance).reshape(-1, channels), r.astype(float).reshape(-1, channels)
    grad = r - r.mean(0) - xhat * (r * xhat).mean(0) if batch else r
    return (scale / np.sqrt(variance + EPSILON) * grad).reshape(x.shape), (r * xhat).sum(0), r.sum(0)


def close(found, wanted):
    wanted = np.asarray(wanted)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=0, atol=TOLERANCE * max(1, np.abs(wanted).max()))


def test_the_reference_gradient_is_that_of_its_function(rng):
    x, r, scale, _ = (values.astype(float) for values in numbers((5, 2, 3), rng))
    wanted = gradients(x, r, scale, *statistics(x), batch=True)[0]
    for place in [(0, 0, 0), (4, 1, 2)]:
        moved = []
        for step in (1e-5, -1e-5):
            other = x.copy()
            other[place] += step
            moved.append((r * scale * normalised(other, *statistics(other))).sum())
        assert abs((moved[0] - moved[1]) / 2e-5 - wanted[place]) < 1e-8


@each_shape
@each_layout
def test_function(shape, layout, rng):
    x, r, scale, shift = numbers(shape, rng)
    given, axis = laid_out(x, layout)
    y, mean, variance = martlet.batch_norm_with_statistics(given, scale, shift, channel_axis=axis)
    wanted_mean, wanted_variance = statistics(x)
    close(mean, wanted_mean)
    close(variance, wanted_variance)
    close(channels_last(y, layout), normalised(x, wanted_mean, wanted_variance) * scale + shift)
    found = martlet.batch_norm_gradients(given, laid_out(r, layout)[0], scale, mean=mean, variance=variance, channel_axis=axis)
    grad_input, grad_scale, grad_shift = gradients(x, r, scale, wanted_mean, wanted_variance, batch=True)
    close(channels_last(found.grad_input, layout), grad_input)
    close(found.grad_scale, grad_scale)
    close(found.grad_shift, grad_shift)


@each_shape
@each_layout
def test_function_with_given_statistics(shape, layout, rng):
    x, r, scale, shift = numbers(shape, rng)
    given, axis = laid_out(x, layout)
    mean, variance = rng.normal(3, 1, size=3), rng.uniform(1, 4, size=3)
    y = martlet.batch_norm(given, scale, shift, mean=mean, variance=variance, channel_axis=axis)
    close(channels_last(y, layout), normalised(x, mean, variance) * scale + shift)
    options = {"mean": mean, "variance": variance, "statistics_are_constant": True, "channel_axis": axis}
    found = martlet.batch_norm_gradients(given, laid_out(r, layout)[0], scale, **options)
    grad_input, grad_scale, grad_shift = gradients(x, r, scale, mean, variance, batch=False)
    close(channels_last(found.grad_input, layout), grad_input)
    close(found.grad_scale, grad_scale)
    close(found.grad_shift, grad_shift)


@each_shape
@pytest.mark.parametrize("layout", ["last", "view"])
def test_layer(shape, layout, rng, tmp_path):
    """Three training steps with their gradients and moving statistics, inference, and the same from a file."""
    net = Sequential([BatchNorm(momentum=MOMENTUM, epsilon=EPSILON)], input_shape=shape[1:])
    _, _, scale, shift = numbers(shape, rng)
    net.parameters()["0.weight"][:], net.parameters()["0.bias"][:] = scale, shift
    moving_mean, moving_variance = np.zeros(3), np.ones(3)
    for _ in range(3):
        x, r, _, _ = numbers(shape, rng)
        mean, variance = statistics(x)
        values = x.size // 3
        moving_mean = MOMENTUM * moving_mean + (1 - MOMENTUM) * mean
        moving_variance = MOMENTUM * moving_variance + (1 - MOMENTUM) * variance * values / (values - 1)
        close(net.forward(laid_out(x, layout)[0], training=True), normalised(x, mean, variance) * scale + shift)
        grad_input, grad_scale, grad_shift = gradients(x, r, scale, mean, variance, batch=True)
        close(net.backward(laid_out(r, layout)[0]), grad_input)
        close(net.gradients()["0.weight"], grad_scale)
        close(net.gradients()["0.bias"], grad_shift)
    close(net.state()["0.running_mean"], moving_mean)
    close(net.state()["0.running_var"], moving_variance)
    assert net.state()["0.num_batches_tracked"] == 3

    x, _, _, _ = numbers(shape, rng)
    given = laid_out(x, layout)[0]
    y = net.predict(given)
    close(y, normalised(x, moving_mean, moving_variance) * scale + shift)
    assert np.array_equal(net.forward(given, training=False), y)
    path = tmp_path / "norm.safetensors"
    net.save(path)
    loaded = martlet.load(path)
    assert np.array_equal(loaded.predict(given), y)
    assert {name: value.tobytes() for name, value in loaded.state_dict().items()} == {
        name: value.tobytes() for name, value in net.state_dict().items()
    }
