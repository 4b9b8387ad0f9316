"""Plain functions on arrays."""

from __future__ import annotations

import numpy as np
import pytest

import martlet
from martlet import InvalidArgumentError, InvalidStateError, ShapeError


def reference(x, scale=1.0, shift=0.0, epsilon=1e-5):
    x = np.asarray(x, float)
    axes = tuple(range(x.ndim - 1))
    return scale * (x - x.mean(axes)) / np.sqrt(x.var(axes) + epsilon) + shift


@pytest.mark.parametrize("shape", [(10, 3), (4, 5, 3), (2, 3, 4, 5)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "uint8"])
def test_batch_norm_last_and_first(shape, dtype, rng):
    x = (rng.normal(size=shape) * 20 + 50).astype(dtype)
    scale, shift = rng.normal(size=(2, shape[-1]))
    y = martlet.batch_norm(x, scale, shift)
    assert y.dtype == np.float32
    assert y.shape == shape
    assert np.allclose(y, reference(x, scale, shift), atol=2e-6)
    first = np.moveaxis(x, -1, 1)
    assert np.allclose(martlet.batch_norm(first, scale, shift, channel_axis=1), np.moveaxis(y, -1, 1), atol=1e-6)


def test_statistics_given_are_used_and_own_ones_returned(rng):
    x = rng.normal(7, 2, size=(50, 3))
    y, mean, variance = martlet.batch_norm_with_statistics(x)
    assert mean.dtype == variance.dtype == np.float64
    assert np.allclose(mean, x.mean(0), atol=1e-6)
    assert np.allclose(variance, x.var(0), atol=1e-5)
    assert np.allclose(martlet.batch_norm(x, mean=mean, variance=variance), y, atol=1e-6)
    assert np.allclose(martlet.batch_norm(x, mean=[0, 0, 0], variance=[1, 1, 1], epsilon=1e-12), x, atol=1e-6)
    assert martlet.batch_norm([[5.0]], mean=[0.0], variance=[1.0]).shape == (1, 1)


def test_a_large_mean_does_not_hurt(rng):
    x = (1.7e9 + 1e5 * rng.normal(size=(4096, 8))).astype(np.float32)
    assert np.abs(martlet.batch_norm(x) - reference(x)).max() <= 1e-6


def test_in_place(rng):
    x = rng.normal(size=(20, 3)).astype(np.float32)
    expected = martlet.batch_norm(x)
    assert martlet.batch_norm(x, out=x) is x
    assert np.array_equal(x, expected)
    base = np.zeros((21, 3), np.float32)
    with pytest.raises(InvalidArgumentError, match="y shares memory with x"):
        martlet.batch_norm(base[1:], out=base[:-1])


def test_empty_batches_are_empty():
    y, mean, _ = martlet.batch_norm_with_statistics(np.zeros((0, 3)))
    assert y.shape == (0, 3)
    assert np.isnan(mean).all()


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (([[1.0, 2.0]],), {}, InvalidArgumentError),  # one value per channel
        (([[1.0], [2.0]],), {"epsilon": 0.0}, InvalidArgumentError),
        (([[1.0], [2.0]],), {"epsilon": float("nan")}, InvalidArgumentError),
        (([[1.0], [2.0]],), {"channel_axis": 0}, InvalidArgumentError),
        (([[1.0], [2.0]],), {"mean": [1.0]}, InvalidArgumentError),
        (([[1.0], [2.0]], [1.0, 2.0]), {}, ShapeError),
        (([[1.0], [2.0]], None, [[1.0]]), {}, ShapeError),
        ((3.0,), {}, ShapeError),
        (([1.0, 2.0],), {"channel_axis": 1}, ShapeError),
        (([["a"]],), {}, TypeError),
    ],
)
def test_batch_norm_refuses(arguments, options, error):
    with pytest.raises(error):
        martlet.batch_norm(*arguments, **options)


def test_gradients_sum_to_zero_and_match_differences(rng):
    x, r = rng.normal(size=(2, 12, 3))
    scale = rng.normal(size=3)
    _, mean, variance = martlet.batch_norm_with_statistics(x, scale)
    found = martlet.batch_norm_gradients(x, r, scale, mean=mean, variance=variance)
    assert np.abs(found.grad_input.sum(0)).max() < 1e-5
    assert np.allclose(found.grad_shift, r.sum(0), atol=1e-5)
    assert np.allclose(found.grad_scale, (r * reference(x)).sum(0), atol=1e-5)
    step = 1e-5
    for place in [(0, 0), (3, 1), (11, 2)]:
        shifted = [x.copy(), x.copy()]
        shifted[0][place] += step
        shifted[1][place] -= step
        difference = np.sum(r * (reference(shifted[0], scale) - reference(shifted[1], scale))) / (2 * step)
        assert found.grad_input[place] == pytest.approx(difference, abs=1e-5)
    constant = martlet.batch_norm_gradients(x, r, scale, mean=mean, variance=variance, statistics_are_constant=True)
    assert np.allclose(constant.grad_input, r * scale / np.sqrt(variance + 1e-5), atol=1e-5)
    first = martlet.batch_norm_gradients(
        x.reshape(3, 4, 3).swapaxes(1, 2),
        r.reshape(3, 4, 3).swapaxes(1, 2),
        scale,
        mean=mean,
        variance=variance,
        channel_axis=1,
    )
    assert np.allclose(first.grad_input.swapaxes(1, 2).reshape(12, 3), found.grad_input, atol=1e-6)


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
@pytest.mark.parametrize("axis", [-1, 1])
def test_activation_on_the_way(activation, axis, rng):
    x, r = rng.normal(size=(2, 40, 16)).astype(np.float32)
    scale, shift = rng.normal(size=(2, 16)).astype(np.float32)
    options = {"channel_axis": axis, "activation": activation}
    plain, mean, variance = martlet.batch_norm_with_statistics(x, scale, shift, channel_axis=axis)
    y = martlet.batch_norm(x, scale, shift, **options)
    value = {"sigmoid": lambda z: 1 / (1 + np.exp(-z)), "tanh": np.tanh, "relu": lambda z: np.maximum(z, 0)}[activation]
    slope = {"sigmoid": y * (1 - y), "tanh": 1 - y * y, "relu": (y > 0).astype(np.float32)}[activation]
    assert np.allclose(y, value(plain), atol=1e-6)
    wanted = martlet.batch_norm_gradients(x, r * slope, scale, mean=mean, variance=variance, channel_axis=axis)
    found = martlet.batch_norm_gradients(x, r, scale, mean=mean, variance=variance, output=y, **options)
    for a, b in zip(found, wanted):
        assert np.allclose(a, b, atol=1e-5)
    again = martlet.batch_norm_gradients(x, r, scale, mean=mean, variance=variance, output=y, out=found, **options)
    assert all(a is b for a, b in zip(again, found))
    partly = martlet.batch_norm_gradients(x, r, scale, mean=mean, variance=variance, output=y, out=(r, None, None), **options)
    assert partly.grad_input is r
    assert np.array_equal(r, found.grad_input)


def test_activation_refusals():
    x, known = [[1.0], [2.0]], {"mean": [1.5], "variance": [0.25]}
    with pytest.raises(InvalidArgumentError, match="activation"):
        martlet.batch_norm(x, activation="gelu")
    with pytest.raises(InvalidArgumentError, match="y: none"):
        martlet.batch_norm_gradients(x, x, activation="tanh", **known)
    with pytest.raises(InvalidArgumentError, match="three"):
        martlet.batch_norm_gradients(x, x, out=(None,), **known)
    with pytest.raises(ShapeError, match=r"out\[1\]"):
        martlet.batch_norm_gradients(x, x, out=(None, np.zeros(2, np.float32), None), **known)


def test_gradients_refuse_other_shapes():
    with pytest.raises(ShapeError):
        martlet.batch_norm_gradients([[1.0], [2.0]], [[1.0]], mean=[1.5], variance=[0.25])


def test_population_statistics_pool(rng):
    x = rng.normal(1e4, 3, size=(1000, 4)).astype(np.float32)
    exact = x.astype(float)
    whole = martlet.population_statistics(x)
    parts = martlet.population_statistics(x[start : start + 37] for start in range(0, 1000, 37))
    assert whole.count == parts.count == 1000
    for found in (whole, parts, martlet.population_statistics([x[:1], x[1:]])):
        assert np.allclose(found.mean, exact.mean(0), rtol=1e-12)
        assert np.allclose(found.variance, exact.var(0), rtol=1e-7)
    assert np.allclose(martlet.population_statistics(x, unbiased=True).variance, exact.var(0, ddof=1), rtol=1e-7)
    images = x.reshape(10, 10, 10, 4)
    first = martlet.population_statistics(np.moveaxis(images, -1, 1), channel_axis=1)
    assert np.allclose(first.variance, exact.var(0), rtol=1e-7)


def test_population_statistics_refuse():
    with pytest.raises(InvalidArgumentError, match="no batch"):
        martlet.population_statistics(iter([]))
    with pytest.raises(ShapeError):
        martlet.population_statistics([np.zeros((2, 3)), np.zeros((2, 4))])
    with pytest.raises(InvalidStateError):
        martlet.population_statistics([[1.0]], unbiased=True)


def test_cross_entropy(rng):
    logits = rng.normal(size=(8, 5))
    labels = rng.integers(0, 5, 8)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = martlet.loss("cross_entropy", logits, labels)
    assert found.loss == pytest.approx(-np.log(shares[np.arange(8), labels]).mean(), abs=1e-6)
    assert found.correct == (logits.argmax(1) == labels).sum()
    onehot = np.eye(5)[labels]
    assert np.allclose(found.gradient, (shares - onehot) / 8, atol=1e-6)
    assert martlet.loss("cross_entropy", logits, onehot).loss == pytest.approx(found.loss, abs=1e-6)


def test_mean_squared_error_and_binary_cross_entropy(rng):
    output, target = rng.normal(size=(2, 6, 3))
    found = martlet.loss("mse", output, target)
    assert found.loss == pytest.approx(((output - target) ** 2).mean(), rel=1e-5)
    assert np.allclose(found.gradient, 2 * (output - target) / 18, atol=1e-6)
    truth = (target > 0).astype(float)
    share = 1 / (1 + np.exp(-output))
    found = martlet.loss("bce", output, truth)
    assert found.loss == pytest.approx(-(truth * np.log(share) + (1 - truth) * np.log(1 - share)).mean(), rel=1e-5)
    assert np.allclose(found.gradient, (share - truth) / 18, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "output", "target"),
    [
        ("hinge", [[1.0]], [[1.0]]),
        ("mse", [[1.0]], [[1.0, 2.0]]),
        ("cross_entropy", [[1.0, 2.0]], [2]),
        ("cross_entropy", [[1.0, 2.0]], [-1]),
        ("cross_entropy", [[1.0, 2.0]], [0, 1]),
    ],
)
def test_losses_refuse(kind, output, target):
    with pytest.raises(ValueError):  # noqa: PT011
        martlet.loss(kind, output, target)


@pytest.mark.parametrize("channel_axis", [-1, 1])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_relu_gradients_without_output_have_the_bits_of_those_with_it(channel_axis: int, offset: float) -> None:
    random = np.random.default_rng(7)
    x = (random.standard_normal((6, 5, 7, 5)) + offset).astype(np.float32)
    x[0, 0] = x[1, 1]
    x[2, 3, 4, 1] = np.nan
    grad = random.standard_normal(x.shape).astype(np.float32)
    scale, shift = random.standard_normal((2, 5)).astype(np.float32)
    scale[1], shift[1] = 0.0, 0.0  # every value on the kink itself
    common = {"activation": "relu", "channel_axis": channel_axis}
    y, mean, variance = martlet.batch_norm_with_statistics(x, scale, shift, **common)
    with_output = martlet.batch_norm_gradients(x, grad, scale, mean=mean, variance=variance, output=y, **common)
    without = martlet.batch_norm_gradients(x, grad, scale, shift, mean=mean, variance=variance, **common)
    for one, other in zip(with_output, without):
        np.testing.assert_array_equal(one, other)
    assert np.count_nonzero(without.grad_input) > x.size // 4
