"""Optimizers: each rule against its formula, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from martlet import SGD, Adam, AdamW, BatchNorm, Dense, InvalidArgumentError, Optimizer, Sequential, Trainer

NAN, INFINITY = float("nan"), float("inf")


def steps_of(rule, start, gradients):
    """The weights after each step, from the library."""
    net = Sequential([Dense(1, bias=False)], input_shape=(len(start),))
    weight, gradient = net.parameters()["0.weight"], net.gradients()["0.weight"]
    weight[:] = start
    optimizer = Optimizer(net, rule)
    found = []
    for value in gradients:
        gradient[:] = value
        optimizer.step()
        found.append(weight[0].astype(float))
    return found


def sgd(w, gradients, rate, momentum=0.0, nesterov=False, decay=0.0):
    velocity = np.zeros_like(w)
    for g in gradients:
        g = g + decay * w
        velocity = momentum * velocity + g
        w = w - rate * (g + momentum * velocity if nesterov else velocity)
        yield w


def adam(w, gradients, rate, beta1=0.9, beta2=0.999, epsilon=1e-8, decay=0.0, decoupled=False):
    m = v = np.zeros_like(w)
    for t, g in enumerate(gradients, 1):
        if decoupled:
            w = w - rate * decay * w
        else:
            g = g + decay * w
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        w = w - rate * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
        yield w


@pytest.mark.parametrize(
    ("rule", "formula", "options"),
    [
        (SGD(0.1), sgd, {"rate": 0.1}),
        (SGD(0.1, 0.9), sgd, {"rate": 0.1, "momentum": 0.9}),
        (SGD(0.1, 0.9, nesterov=True), sgd, {"rate": 0.1, "momentum": 0.9, "nesterov": True}),
        (SGD(0.1, 0.5, weight_decay=0.1), sgd, {"rate": 0.1, "momentum": 0.5, "decay": 0.1}),
        (Adam(0.01), adam, {"rate": 0.01}),
        (Adam(0.01, 0.5, 0.9, epsilon=1e-3), adam, {"rate": 0.01, "beta1": 0.5, "beta2": 0.9, "epsilon": 1e-3}),
        (Adam(0.01, weight_decay=0.1), adam, {"rate": 0.01, "decay": 0.1}),
        (AdamW(0.01, weight_decay=0.1), adam, {"rate": 0.01, "decay": 0.1, "decoupled": True}),
        ("adamw", adam, {"rate": 0.001, "decay": 0.01, "decoupled": True}),
    ],
)
def test_rules(rule, formula, options, rng):
    start = rng.normal(size=20)
    gradients = rng.normal(size=(6, 20))
    for found, expected in zip(steps_of(rule, start, gradients), formula(start, gradients, **options)):
        assert np.allclose(found, expected, atol=2e-6)


def test_decay_spares_scale_shift_and_bias_unless_told(net):
    def after(rule):
        twin = net.clone()
        for value in twin.parameters().values():
            value[:] = 1
        Optimizer(twin, rule).step()  # gradients are zero
        return {name: float(value.flat[0]) for name, value in twin.parameters().items()}

    spared = after(SGD(0.5, weight_decay=0.5))
    assert spared == {name: 0.75 if name in ("0.weight", "3.weight") else 1.0 for name in net.parameters()}
    assert set(after(SGD(0.5, weight_decay=0.5, decays_scale_shift_bias=True)).values()) == {0.75}


def test_frozen_parameters_stay(net, batch):
    net.set_trainable("0.weight", False)
    before = net.state_dict()
    Trainer(net, optimizer="sgd").step(*batch)
    after = net.state_dict()
    assert np.array_equal(before["0.weight"], after["0.weight"])
    assert not np.array_equal(before["3.weight"], after["3.weight"])


def test_learning_rate_is_seen_and_set(net):
    for owner in (Optimizer(net, SGD(0.5)), Trainer(net, optimizer=SGD(0.5))):
        assert owner.learning_rate == 0.5
        owner.learning_rate = 0
        assert owner.learning_rate == 0
        for wrong in (-1.0, NAN, INFINITY, "fast"):
            with pytest.raises(InvalidArgumentError, match="learning_rate"):
                owner.learning_rate = wrong
        assert owner.learning_rate == 0


@pytest.mark.parametrize(
    "rule",
    [
        SGD(-0.1),
        SGD(NAN),
        SGD(INFINITY),
        SGD("fast"),
        SGD(0.1, 1.0),
        SGD(0.1, -0.5),
        SGD(0.1, NAN),
        SGD(0.1, nesterov=True),
        SGD(0.1, weight_decay=-1),
        SGD(0.1, 0.5, nesterov="yes"),
        Adam(0.1, 1.0),
        Adam(0.1, 0.9, NAN),
        Adam(0.1, epsilon=0),
        AdamW(0.1, weight_decay=NAN),
        "rmsprop",
        3,
    ],
)
def test_rules_refuse(net, rule):
    with pytest.raises(InvalidArgumentError):
        Optimizer(net, rule)
    with pytest.raises(InvalidArgumentError):
        Trainer(net, optimizer=rule)


def test_repr_names_the_options():
    assert repr(SGD(0.5)).startswith("SGD(learning_rate=0.5, momentum=0.0")
    assert repr(AdamW()).startswith("AdamW(learning_rate=0.001")
    assert BatchNorm().kind == "batch_norm"
