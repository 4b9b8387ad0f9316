"""Sizes and sums from outside that no process could use: errors, and everything is as it was."""

import math

import numpy as np
import pytest

from martlet import AvgPool2D, BatchNorm, Conv2D, Dense, Flatten, MartletError, ReLU, Sequential, Trainer


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [Conv2D(4, 3, padding="same"), BatchNorm()],
        lambda: [AvgPool2D(2)],
        lambda: [Flatten(), Dense(3), ReLU()],
    ],
)
@pytest.mark.parametrize("training", [False, True])
def test_plans_that_no_memory_holds(layers, training):
    net = Sequential(layers(), input_shape=(8, 8, 3))
    assert "steps" in net.plan(2**20, training=training)
    for rows in (2**44, 2**50, 2**61, 2**62, 2**63 - 1):
        with pytest.raises(MartletError, match="smaller batch"):
            net.plan(rows, training=training)


def test_plans_of_rows_without_values():
    net = Sequential([ReLU()], input_shape=(0,))
    assert "steps" in net.plan(2**30, training=False)
    with pytest.raises(MartletError, match="smaller batch"):
        net.plan(2**62, training=False)
    # Nobody goes through so many rows of nothing.
    assert net.predict(np.zeros((2**50, 0), np.float32)).shape == (2**50, 0)


class TestAllReduce:
    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    y = np.arange(8) % 3

    def trainer(self, function):
        net = Sequential([Dense(6), BatchNorm(), Dense(3)], input_shape=(4,), seed=0)
        net.set_all_reduce(function)
        return net, Trainer(net, loss="cross_entropy")

    def refused(self, function, match):
        net, trainer = self.trainer(function)
        before = {name: value.copy() for name, value in net.state_dict().items()}
        for call in (lambda: trainer.step(self.x, self.y), lambda: trainer.fit(self.x, self.y, epochs=1, batch_size=4)):
            with pytest.raises(MartletError, match=match):
                call()
        for name, value in net.state_dict().items():
            np.testing.assert_array_equal(value, before[name])

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, 2.0**53 + 2, -1, 0, 2.5])
    def test_what_is_not_a_sum(self, value):
        def fill(sums):
            sums[:] = value

        self.refused(fill, r"all_reduce: expected the sum of all shards' numbers of rows, a whole number of \d or more; got")

    def test_a_mean(self):
        def mean(sums):
            sums /= 2

        self.refused(mean, "It must replace each number by its sum")

    def test_what_comes_back(self):
        self.refused(lambda sums: sums.copy(), "got another ndarray back")
        self.refused(lambda sums: list(sums), "got another list back")

    def test_a_changed_array(self):
        def shorter(sums):
            sums.resize(0, refcheck=False)

        def other_type(sums):
            sums.dtype = np.int64

        self.refused(shorter, r"expected 1 float64 numbers in place; got the array back as float64 \[0\]")
        self.refused(other_type, "got the array back as int64")

    def test_its_exceptions_rise(self):
        def broken(sums):
            raise KeyError("network")

        _, trainer = self.trainer(broken)
        with pytest.raises(KeyError, match="network"):
            trainer.step(self.x, self.y)
        _, trainer = self.trainer(lambda sums: sums)
        assert trainer.step(self.x, self.y).rows == 8
