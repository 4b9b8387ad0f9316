"""Numbers that float32 does not hold: measured at their own precision, or refused."""

import numpy as np
import pytest

import martlet
from martlet import BatchNorm, Dense, InputNormalization, InvalidArgumentError, Sequential, Trainer

BASE = 1_700_000_000
RANGE = r"expected numbers within float32's range, up to 3\.4028235e\+38; got "


@pytest.mark.parametrize(("base", "dtype"), [(BASE, "f8"), (2**24, "i4"), (2**24, "i8"), (2**40, "f8"), (BASE * 10**9, "i8")])
def test_statistics_of_wide_numbers(base, dtype):
    x = (base + np.arange(4)).astype(dtype)[:, None]
    for data in (x, [x[:1], x[1:]], np.asfortranarray(np.hstack([x, x]))[:, :1]):
        found = martlet.population_statistics(data)
        assert found.variance[0] == pytest.approx(1.25, abs=1e-12)
        assert found.mean[0] == base + 1.5


@pytest.mark.parametrize("dtype", ["f8", "i8", "i4"])
def test_input_normalization_of_wide_numbers(dtype):
    x = np.stack([BASE + np.arange(8), np.arange(8) % 3], axis=1).astype(dtype)
    net = Sequential([InputNormalization()], input_shape=(2,))
    net.fit_input_normalization(x)
    expected = ((x - x[0]) - (x - x[0]).mean(0)) / (x - x[0]).std(0)
    np.testing.assert_allclose(net.predict(x), expected, atol=1e-6)
    np.testing.assert_allclose(net.predict(np.asfortranarray(x)[::2]), expected[::2], atol=1e-6)
    np.testing.assert_allclose(net.forward(x, training=True), expected, atol=1e-6)


@pytest.mark.parametrize("activation", [None, "relu", "sigmoid"])
@pytest.mark.parametrize("channel_axis", [-1, 1])
def test_batch_norm_of_wide_numbers(channel_axis, activation):
    rng = np.random.default_rng(0)
    near = np.round(rng.normal(size=(8, 3, 3)) * 2**16) / 2**16
    grad = rng.normal(size=near.shape)
    options = {"scale": [1, -2, 0.5], "shift": [0.1, 0, -0.2], "channel_axis": channel_axis, "activation": activation}
    results = []
    for x in (near, near + 2**30, (near * 2**16).astype(np.int64) + 2**60):
        epsilon = 1e-5 * (2**32 if x.dtype == np.int64 else 1)
        y, mean, variance = martlet.batch_norm_with_statistics(x, epsilon=epsilon, **options)
        output = y if activation == "sigmoid" else None
        gradients = martlet.batch_norm_gradients(
            x, grad, mean=mean, variance=variance, epsilon=epsilon, output=output, **options
        )
        results.append((y, gradients.grad_scale, gradients.grad_shift))
    for other in results[1:]:
        # The mean of 2**60 + ... is a float64: up to 128 of 65536 units away.
        tolerance = 1e-5 if other is results[1] else 0.02
        np.testing.assert_allclose(other[0], results[0][0], atol=1e-5)
        for a, b in zip(other[1:], results[0][1:]):
            np.testing.assert_allclose(a, b, atol=tolerance * 10)


def network():
    return Sequential([Dense(2), BatchNorm(), Dense(1)], input_shape=(2,), seed=0)


def test_numbers_beyond_float32_are_refused_with_their_place():
    x, y = np.ones((3, 2)), np.ones((3, 1))
    x[:2] = [[1, 2], [3, 4]]
    big = x.copy()
    big[2, 1] = -1e39
    net, out = network(), np.zeros((3, 1), np.float32)
    trainer = Trainer(net, loss="mse")
    before = {name: value.copy() for name, value in net.state_dict().items()}
    calls = [
        lambda: net.predict(big, out=out, batch_size=1),
        lambda: net.forward(big, training=True),
        lambda: trainer.step(big, y),
        lambda: trainer.fit(big, y, batch_size=2, epochs=1),
        lambda: net.update_population_statistics(big),
        lambda: martlet.Tensor(big),
        lambda: martlet.matmul(big, np.ones((2, 2))),
        lambda: martlet.layer_norm(big),
        lambda: martlet.loss("mse", big, x),
    ]
    for call in calls:
        with pytest.raises(InvalidArgumentError, match=RANGE + r"-1e\+39 at \[2, 1\]"):
            call()
    with pytest.raises(InvalidArgumentError, match="1e\\+300, which float32 cannot hold, in row 0"):
        trainer.step(x, y * 1e300)
    state = {name: value.astype(np.float64) for name, value in before.items()}
    state["0.weight"][1, 0] = 1e39
    with pytest.raises(InvalidArgumentError, match=r"0\.weight: " + RANGE + r"1e\+39 at \[1, 0\]"):
        net.load_state_dict(state)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert not out.any()


def test_single_numbers_beyond_float32_are_refused():
    with pytest.raises(InvalidArgumentError, match="value: expected a number within float32's range"):
        martlet.Tensor.filled((2,), 1e39)
    tensor = martlet.Tensor([1.0, 2.0])
    with pytest.raises(InvalidArgumentError, match="float32's range"):
        tensor[0] = -1e300
    tensor[0] = float("inf")
    assert tensor[0] == float("inf")


def test_a_folded_input_normalization_counts_the_rounding_of_its_input():
    x = np.random.default_rng(0).normal(size=(64, 3)) * [1, 10, 100] + [1000, 0, 0]
    net = Sequential([InputNormalization(), Dense(4), BatchNorm(), Dense(2)], input_shape=(3,), seed=0)
    net.fit_input_normalization(x)
    net.update_population_statistics(x)
    _, certificate = net.fold(x)
    assert certificate.within_bounds


def test_statistics_beyond_float32_are_float64():
    found = martlet.population_statistics(np.array([[1e39], [2e39], [3e39]]))
    assert found.mean[0] == pytest.approx(2e39)
    assert found.variance[0] == pytest.approx(2e78 / 3)
    assert np.isfinite(martlet.batch_norm(np.array([[1e39], [2e39], [3e39]]))).all()
