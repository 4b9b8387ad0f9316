"""``Model.check``: the library's findings as Python has them; each one is tested for its numbers in Swift."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

import martlet
from martlet import SGD, Adam, BatchNorm, Dense, Dropout, ReLU, Sequential, Trainer


@pytest.fixture
def x():
    return np.random.default_rng(5).normal(size=(120, 4)).astype(np.float32)


def network(**options):
    layers = [Dense(6, bias=False), BatchNorm(**options), ReLU(), Dense(5, bias=False), BatchNorm(), Dense(3)]
    return Sequential(layers, input_shape=(4,), seed=3)


def test_nothing_to_find(x):
    net = network()
    net.update_population_statistics(x)
    labels = np.arange(120) % 3
    found = net.check(x, labels, batch_size=30, optimizer=SGD(0.1, weight_decay=0.1))
    assert found == []
    assert (found.codes, str(found)) == ([], "nothing found")


def test_findings_have_all_their_parts():
    net = network()
    found = net.check(batch_size=1, optimizer=Adam(weight_decay=0.25, decays_scale_shift_bias=True))
    assert found.codes == ["one_value_per_channel"] * 2 + ["weight_decay_on_scale"] + ["statistics_never_updated"] * 2
    assert [finding.severity for finding in found] == ["error"] * 2 + ["warning"] * 3
    assert [finding.layer for finding in found] == ["1", "4", "1", "1", "4"]
    assert found[2].value == 0.25
    assert '2 batch norms ("1", "4")' in found[2].message
    assert found[0].advice
    assert str(found).startswith("error one_value_per_channel: ")
    decaying = SGD(0.1, weight_decay=0.25, decays_scale_shift_bias=True)
    for trained in (Trainer(net, optimizer=decaying), martlet.Optimizer(net, decaying)):
        assert "weight_decay_on_scale" in net.check(optimizer=trained).codes
    assert net.check(optimizer="sgd").codes == ["statistics_never_updated"] * 2


def test_channels_and_values(x):
    net = network()
    net.update_population_statistics(x)
    state = net.state_dict()
    variance = state["1.running_var"].copy()
    state["1.running_var"][[2, 4]] *= [0.01, 20]
    net.load_state_dict(state)
    (found,) = [finding for finding in net.check(x) if finding.code == "moving_variance_off"]
    assert (found.layer, found.channels) == ("1", [2, 4])
    # The first norm's inputs are the same in training and at inference: what it had was right.
    assert found.value == pytest.approx((variance[2] + 1e-5) / (variance[2] / 100 + 1e-5), rel=1e-3)


def test_the_gap_has_no_layer(x):
    net = network()
    net.update_population_statistics(x)
    state = net.state_dict()
    state["4.running_mean"] += np.array([30, -30, 30, -30, 30], np.float32)
    net.load_state_dict(state)
    labels = np.arange(120) % 3
    (found,) = [finding for finding in net.check(x, labels) if finding.code == "training_inference_gap"]
    assert found.layer is None
    inference = Trainer(net, optimizer=SGD(0.0)).evaluate(x, labels).loss
    training = Trainer(net.clone(), optimizer=SGD(0.0)).step(x, labels).loss
    assert found.value == pytest.approx(inference - training, rel=1e-5)
    target = net(x)
    assert "training_inference_gap" in net.check(x, target + 1, loss="mse").codes


def test_nothing_changes(x):
    net = Sequential([Dropout(0.5), Dense(3), BatchNorm()], input_shape=(4,))
    other = copy.deepcopy(net)
    for each in (net, other):
        each.forward(x, training=True)
    before = net.state_dict()
    net.check(x, np.zeros((120, 3)), loss="mse", batch_size=7)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    np.testing.assert_array_equal(net.forward(x, training=True), other.forward(x, training=True))


def test_models_of_several_inputs():
    a, b = martlet.Input((2,)), martlet.Input((3,))
    net = martlet.Model([a, b], Dense(2)(BatchNorm()(martlet.Concatenate()([a, b]))))
    x, y = np.arange(20.0).reshape(10, 2), np.arange(30.0).reshape(10, 3) ** 2
    net.update_population_statistics([x, y])
    assert net.check([x, y]).codes == []
    (found,) = net.check([x, y + 2000])
    assert (found.code, sorted(found.channels)) == ("data_drifted", [2, 3, 4])
    assert math.isfinite(found.value)


def test_refused(x):
    net = network()
    with pytest.raises(martlet.ShapeError, match=r"^x: "):
        net.check(x[:, :3])
    with pytest.raises(martlet.InvalidArgumentError, match="finite"):
        net.check(np.full((2, 4), np.nan))
    with pytest.raises(martlet.InvalidArgumentError, match="without data"):
        net.check(y=np.zeros(3))
    with pytest.raises(martlet.InvalidArgumentError, match="batch_size"):
        net.check(batch_size=0)
    with pytest.raises(martlet.InvalidArgumentError, match="loss must be one of"):
        net.check(x, loss="hinge")
    with pytest.raises(martlet.InvalidArgumentError, match="optimizer must be"):
        net.check(optimizer=3)  # type: ignore[arg-type]
    with pytest.raises(martlet.InvalidArgumentError, match="learning_rate"):
        net.check(optimizer=SGD(-1.0))


def test_many_findings_of_one_kind_are_shown_as_one():
    net = martlet.models.resnet56((32, 32, 3), classes=10)
    findings = net.check()
    assert findings.codes.count("statistics_never_updated") > 50
    assert len(str(findings)) < 1000
    assert "and 49 more" in str(findings)
