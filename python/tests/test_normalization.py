"""The BatchNorm layer: options, switches, moving statistics."""

from __future__ import annotations

import numpy as np
import pytest

import martlet
from martlet import SGD, BatchNorm, Dense, InvalidArgumentError, Sequential, Trainer


def single(**options):
    return Sequential([BatchNorm(**options)], input_shape=(3,))


def test_training_output_is_normalised(rng):
    x = rng.normal(50, 3, size=(400, 3)).astype(np.float32)
    y = single().forward(x, training=True)
    assert np.allclose(y.mean(0), 0, atol=1e-6)
    assert np.allclose(y.std(0), 1, atol=1e-5)


def test_a_constant_channel_gives_exactly_the_shift():
    net = single()
    net.parameters()["0.bias"][:] = [1, 2, 3]
    y = net.forward(np.full((64, 3), 100.1), training=True)
    assert np.array_equal(y, np.tile(np.float32([1, 2, 3]), (64, 1)))


@pytest.mark.parametrize(("scale", "shift"), [(True, False), (False, True), (False, False)])
def test_scale_and_shift_can_be_left_out(scale, shift, rng):
    net = single(scale=scale, shift=shift)
    assert ("0.weight" in net.parameters(), "0.bias" in net.parameters()) == (scale, shift)
    x = rng.normal(size=(20, 3)).astype(np.float32)
    assert np.allclose(net.forward(x, training=True), martlet.batch_norm(x), atol=1e-6)


def test_moving_average_has_the_previous_statistics_weight(rng):
    net = single(momentum=0.75)
    mean, variance = np.zeros(3), np.ones(3)
    for _ in range(4):
        x = rng.normal(2, 3, size=(10, 3)).astype(np.float32)
        net.forward(x, training=True)
        mean = 0.75 * mean + 0.25 * x.astype(float).mean(0)
        variance = 0.75 * variance + 0.25 * x.astype(float).var(0, ddof=1)
    assert np.allclose(net.state()["0.running_mean"], mean, atol=1e-5)
    assert np.allclose(net.state()["0.running_var"], variance, atol=1e-5)


def test_momentum_none_is_the_plain_average_and_the_variance_may_stay_biased(rng):
    net = single(momentum=None, biased_moving_variance=True)
    batches = [rng.normal(size=(10, 3)).astype(np.float32) for _ in range(3)]
    for x in batches:
        net.forward(x, training=True)
    state = net.state()
    assert np.allclose(state["0.running_mean"], np.mean([x.mean(0) for x in batches], 0), atol=1e-6)
    assert np.allclose(state["0.running_var"], np.mean([x.var(0) for x in batches], 0), atol=1e-5)
    assert state["0.num_batches_tracked"] == 3


def test_a_batch_with_a_nan_is_skipped_and_counted_unless_told_otherwise(rng):
    x = rng.normal(size=(10, 3)).astype(np.float32)
    x[0, 1] = np.nan
    net = single()
    assert np.isnan(net.forward(x, training=True)[:, 1]).all()
    assert net.state()["0.num_batches_skipped"] == 1
    assert np.isfinite(net.state()["0.running_mean"]).all()
    counting = single(count_nonfinite_batches=True)
    counting.forward(x, training=True)
    assert np.isnan(counting.state()["0.running_mean"][1])
    assert counting.state()["0.num_batches_skipped"] == 0


def test_freeze_makes_training_act_like_inference(net, batch):
    x, y = batch
    layer = net.layers[1]
    net.forward(x, training=True)
    layer.freeze()
    assert (layer.normalize_with, layer.updates_moving, layer.trains_scale_shift) == ("moving", False, False)
    before = net.state_dict()
    assert np.allclose(net.forward(x, training=True), net(x), atol=1e-6)
    Trainer(net, optimizer=SGD(0.5)).step(x, y)
    after = net.state_dict()
    for name in before:
        assert np.array_equal(before[name], after[name]) == name.startswith("1."), name
    layer.unfreeze()
    assert (layer.normalize_with, layer.updates_moving, layer.trains_scale_shift) == ("batch", True, True)
    Trainer(net, optimizer=SGD(0.5)).step(x, y)
    assert not np.array_equal(net.state_dict()["1.running_mean"], before["1.running_mean"])
    assert not np.array_equal(net.state_dict()["1.weight"], before["1.weight"])


def test_each_switch_alone(net, batch):
    x, y = batch
    layer = net.layers[1]
    layer.updates_moving = False
    before = net.state_dict()
    Trainer(net, optimizer=SGD(0.5)).step(x, y)
    after = net.state_dict()
    assert np.array_equal(before["1.running_mean"], after["1.running_mean"])
    assert not np.array_equal(before["1.weight"], after["1.weight"])
    layer.trains_scale_shift = False
    layer.updates_moving = True
    Trainer(net, optimizer=SGD(0.5)).step(x, y)
    assert np.array_equal(net.state_dict()["1.weight"], after["1.weight"])
    assert not np.array_equal(net.state_dict()["1.running_mean"], after["1.running_mean"])
    layer.normalize_with = "moving"
    assert np.allclose(net.forward(x, training=True), net(x), atol=1e-1)


def test_switches_before_building_are_options():
    layer = BatchNorm(normalize_with="moving")
    layer.updates_moving = False
    net = Sequential([layer], input_shape=(3,))
    assert (layer.normalize_with, layer.updates_moving) == ("moving", False)
    x = np.full((4, 3), 5.0)
    assert np.allclose(net.forward(x, training=True), 5, atol=1e-3)


def test_switches_are_saved_with_the_model(net, tmp_path):
    net.layers[1].freeze()
    net.save(tmp_path / "net.safetensors")
    layer = martlet.load(tmp_path / "net.safetensors").layers[1]
    with pytest.raises(martlet.InvalidStateError, match="outlived"):
        layer.freeze()
    loaded = martlet.load(tmp_path / "net.safetensors")
    assert loaded.layers[1].normalize_with == "moving"
    assert not loaded.layers[1].trains_scale_shift


def test_wrong_switch_values(net):
    layer = net.layers[1]
    with pytest.raises(InvalidArgumentError, match="normalize_with"):
        layer.normalize_with = "both"
    with pytest.raises(InvalidArgumentError, match="updates_moving"):
        layer.updates_moving = 7
    assert layer.normalize_with == "batch"


def test_a_bias_before_it_gets_no_gradient(net, batch):
    net.forward(batch[0], training=True)
    net.backward(np.random.default_rng(0).normal(size=(16, 3)))
    assert np.abs(net.gradients()["0.bias"]).max() < 1e-5
    assert np.abs(net.gradients()["0.weight"]).max() > 1e-3


def test_images_are_normalised_over_all_but_the_last_axis(rng):
    x = rng.normal(4, 2, size=(3, 5, 6, 2)).astype(np.float32)
    net = Sequential([BatchNorm()], input_shape=(5, 6, 2))
    y = net.forward(x, training=True)
    assert np.allclose(y.mean((0, 1, 2)), 0, atol=1e-6)
    assert np.allclose(y.std((0, 1, 2)), 1, atol=1e-4)
    assert isinstance(net.layers[0], BatchNorm)
    assert Dense(1).kind == "dense"
