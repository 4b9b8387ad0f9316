"""The options of BatchNorm beyond the plain layer: what the moving statistics weigh, batches that are too small."""

from __future__ import annotations

import numpy as np
import pytest

import martlet
from martlet import (
    SGD,
    BatchNorm,
    BatchRenormalization,
    Conv1D,
    Dense,
    GlobalAvgPool1D,
    Input,
    InvalidArgumentError,
    Model,
    ReLU,
    Sequential,
    Tanh,
    Trainer,
)


def single(**options):
    return Sequential([BatchNorm(**options)], input_shape=(3,))


@pytest.mark.parametrize("momentum", [0.9, 0.5, 0.0, 1.0])
def test_debiased_weighs_the_batches_alone(momentum, rng):
    net = single(momentum=momentum, debiased=True)
    batches = [rng.normal(2, 3, size=(rows, 3)).astype(np.float32) for rows in (10, 4, 7)]
    for count, x in enumerate(batches, 1):
        net.forward(x, training=True)
        weights = [momentum ** (count - j) for j in range(1, count + 1)]
        means = [batch.astype(float).mean(0) for batch in batches[:count]]
        variances = [batch.astype(float).var(0, ddof=1) for batch in batches[:count]]
        assert np.allclose(net.state()["0.running_mean"], np.average(means, 0, weights), atol=1e-5)
        assert np.allclose(net.state()["0.running_var"], np.average(variances, 0, weights), rtol=1e-5)


def test_one_value_a_channel_is_refused_with_advice():
    net = single()
    before = net.state_dict()
    with pytest.raises(InvalidArgumentError, match='single_value "moving" or "skip"'):
        net.forward([[1.0, 2.0, 3.0]], training=True)
    assert all(np.array_equal(before[name], value) for name, value in net.state_dict().items())


@pytest.mark.parametrize("policy", ["moving", "skip"])
def test_one_value_a_channel_with_a_policy(policy, rng):
    net = single(single_value=policy)
    net.forward(rng.normal(3, 2, size=(20, 3)), training=True)
    x = rng.normal(size=(1, 3)).astype(np.float32)
    expected = net(x)
    before = net.state_dict()
    assert np.array_equal(net.forward(x, training=True), expected)
    after = net.state_dict()
    assert [name for name in before if not np.array_equal(before[name], after[name])] == ["0.num_batches_skipped"]
    r = rng.normal(size=(1, 3)).astype(np.float32)
    inverse = 1 / np.sqrt(before["0.running_var"].astype(float) + 1e-5)
    assert np.allclose(net.backward(r), r * inverse, atol=1e-6)
    wanted = r[0] * (x[0] - before["0.running_mean"]) * inverse
    assert np.allclose(net.gradients()["0.weight"], wanted if policy == "moving" else 0, atol=1e-5)
    assert np.allclose(net.gradients()["0.bias"], r[0] if policy == "moving" else 0)


def test_a_last_batch_of_one_row_ends_no_epoch(rng):
    x, y = rng.normal(size=(33, 4)).astype(np.float32), rng.integers(0, 2, 33)
    net = Sequential([Dense(5), BatchNorm(single_value="skip"), Dense(2)], input_shape=(4,))
    Trainer(net, optimizer=SGD(0.1)).fit(x, y, epochs=2, batch_size=8, progress=False)
    assert (net.state()["1.num_batches_tracked"], net.state()["1.num_batches_skipped"]) == (8, 2)


def test_options_are_saved_with_the_model(tmp_path):
    layer = BatchNorm(debiased=True, single_value="skip")
    assert repr(layer) == "BatchNorm(debiased=True, single_value='skip')"
    net = Sequential([layer], input_shape=(3,))
    net.save(tmp_path / "net.safetensors")
    loaded = martlet.load(tmp_path / "net.safetensors").layers[0]
    assert (loaded.debiased, loaded.single_value) == (True, "skip")
    assert repr(BatchNorm()) == "BatchNorm()"


@pytest.mark.parametrize("options", [{"single_value": "ignore"}, {"single_value": None}, {"debiased": 2}])
def test_wrong_options(options):
    with pytest.raises(InvalidArgumentError, match=next(iter(options))):
        BatchNorm(**options)


def test_virtual_batches_are_batches_in_turn(rng):
    x, r = rng.normal(2, 3, size=(2, 11, 3)).astype(np.float32)
    ghost, plain = single(virtual_batch_size=5), single()
    y, dx = ghost.forward(x, training=True), ghost.backward(r)
    scale = np.zeros(3)
    for rows in (slice(0, 5), slice(5, 11)):  # the last row alone would have no variance
        assert np.array_equal(plain.forward(x[rows], training=True), y[rows])
        assert np.array_equal(plain.backward(r[rows]), dx[rows])
        scale += plain.gradients()["0.weight"]
    assert np.allclose(ghost.gradients()["0.weight"], scale, atol=1e-5)
    for name in ("0.running_mean", "0.running_var", "0.num_batches_tracked"):
        assert np.array_equal(ghost.state()[name], plain.state()[name])
    assert "virtual batches of 5" in ghost.plan(11, training=True)
    assert "virtual" not in ghost.plan(11, training=False)


@pytest.mark.parametrize("size", [0, -1, 1.5, True, 1])
def test_wrong_virtual_batch_sizes(size):
    with pytest.raises(InvalidArgumentError, match="virtual_batch_size"):
        single(virtual_batch_size=size)


def test_renormalization_starts_as_batch_norm_and_becomes_inference(rng):
    limits = BatchRenormalization(r_max=1e6, d_max=1e6, r_ramp=(1, 2), d_ramp=(1, 2))
    net, plain = single(renormalization=limits), single()
    for step in range(4):
        x = rng.normal(step, 1 + step, size=(6, 3)).astype(np.float32)
        inference = net(x)
        y, expected = net.forward(x, training=True), plain.forward(x, training=True)
        if step < 2:  # the limits are closed until one batch has been followed, and open from the second on
            assert np.array_equal(y, expected)
        else:
            assert np.allclose(y, inference, atol=1e-4)
            assert not np.allclose(y, expected, atol=1e-2)
        assert np.array_equal(net.state()["0.running_mean"], plain.state()["0.running_mean"])
    assert "renormalised" in net.plan(6, training=True)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"r_max": 0.5}, "r_max"),
        ({"d_max": -1}, "d_max"),
        ({"d_max": float("nan")}, "d_max"),
        ({"r_ramp": (3, 2)}, "r_ramp"),
        ({"d_ramp": (1,)}, "d_ramp"),
        ({"d_ramp": (1, 2.5)}, "d_ramp"),
        ({"r_ramp": (-1, 2)}, "r_ramp"),
        ({"r_max": "3"}, "r_max"),
    ],
)
def test_wrong_limits(options, word):
    with pytest.raises(InvalidArgumentError, match=word):
        single(renormalization=BatchRenormalization(**options))


@pytest.mark.parametrize("value", [True, 3, {"r_min": 1}, "paper"])
def test_what_is_no_renormalization(value):
    with pytest.raises(InvalidArgumentError, match="renormalization must be"):
        BatchNorm(renormalization=value)


def weighted(shape, layer, behind=lambda node: node):
    x, w = Input(shape), Input(shape[:-1])
    return Model([x, w], behind(layer(x, weights=w)))


def test_padding_does_not_count(rng):
    net, plain = weighted((5, 3), BatchNorm(name="0")), single()
    for _ in range(3):
        x = rng.normal(10, 2, size=(4, 5, 3)).astype(np.float32)
        lengths = rng.integers(2, 6, 4)
        mask = np.arange(5) < lengths[:, None]
        expected = plain.forward(x[mask], training=True)
        x[~mask] = 1e4
        y = net.forward([x, mask.astype(np.uint8)], training=True)
        assert np.allclose(y[mask], expected, atol=1e-5)
        assert np.isfinite(y).all()
    for name in ("0.running_mean", "0.running_var"):
        assert np.allclose(net.state()[name], plain.state()[name], rtol=1e-5)
    assert np.allclose(net([x, mask.astype(float)])[mask], plain(x[mask]), atol=1e-5)


def test_whole_weights_are_repetitions(rng):
    x, w = rng.normal(size=(9, 3)).astype(np.float32), rng.integers(0, 4, 9)
    net, plain = weighted((3,), BatchNorm(name="0")), single()
    net.forward([x, w.astype(np.float32)], training=True)
    plain.forward(np.repeat(x, w, 0), training=True)
    for name in ("0.running_mean", "0.running_var"):
        assert np.allclose(net.state()[name], plain.state()[name], atol=1e-6)
    assert "weighted" in net.plan(9, training=True)


@pytest.mark.parametrize("weights", [[0, 0, 0], [0, 1, 0.5]])
@pytest.mark.parametrize("policy", ["error", "moving", "skip"])
def test_too_little_weight(weights, policy, rng):
    net = weighted((3,), BatchNorm(single_value=policy, name="0"))
    x = rng.normal(size=(3, 3)).astype(np.float32)
    expected = net([x, weights])
    before = net.state_dict()
    assert np.array_equal(net.forward([x, weights], training=True), expected)
    after = net.state_dict()
    changed = [name for name in before if not np.array_equal(before[name], after[name])]
    assert changed == (["0.num_batches_skipped"] if any(weights) else [])
    net.backward(np.ones((3, 3)))
    assert net.gradients()["0.bias"].any() == (any(weights) and policy != "skip")


def test_weighted_gradients_by_differences(rng):
    net = weighted((4, 3), BatchNorm(name="0"), lambda node: Tanh()(node))
    net.parameters()["0.weight"][:] = rng.normal(1, 0.3, 3)
    net.parameters()["0.bias"][:] = rng.normal(size=3)
    p = {name: value.astype(float) for name, value in net.parameters().items()}
    x, r = rng.normal(size=(2, 3, 4, 3))
    w = rng.integers(0, 3, (3, 4)).astype(float)

    def loss():
        mean = np.average(x, (0, 1), np.broadcast_to(w[..., None], x.shape))
        variance = np.average((x - mean) ** 2, (0, 1), np.broadcast_to(w[..., None], x.shape))
        normal = (x - mean) / np.sqrt(variance + 1e-5)
        return float((r * np.tanh(normal * p["0.weight"] + p["0.bias"])).sum())

    net.forward([x, w], training=True)
    found, of_weights = net.backward(r)
    assert not of_weights.any()
    for gradient, value in ((found, x), (net.gradients()["0.weight"], p["0.weight"]), (net.gradients()["0.bias"], p["0.bias"])):
        for place in np.ndindex(*value.shape):
            kept = value[place]
            value[place] = kept + 1e-5
            above = loss()
            value[place] = kept - 1e-5
            below = loss()
            value[place] = kept
            assert abs(gradient[place] - (above - below) / 2e-5) < 1e-4


def test_population_statistics_count_weights(rng):
    x, w = rng.normal(3, 2, size=(50, 4, 3)).astype(np.float32), rng.integers(0, 2, (50, 4)).astype(np.float32)
    net = weighted((4, 3), BatchNorm(name="0"))
    net.update_population_statistics([x, w], batch_size=7)
    assert np.allclose(net.state()["0.running_mean"], x[w == 1].mean(0), atol=1e-5)
    assert np.allclose(net.state()["0.running_var"], x[w == 1].var(0, ddof=1), rtol=1e-5)


def test_training_with_weights_folding_and_files(tmp_path, rng):
    x, w = Input((6, 4)), Input((6,))
    h = ReLU()(BatchNorm(virtual_batch_size=8)(Conv1D(5, 1)(x), weights=w))
    net = Model([x, w], Dense(2)(GlobalAvgPool1D()(h)), seed=1)
    data, mask = rng.normal(size=(40, 6, 4)).astype(np.float32), rng.integers(0, 2, (40, 6)).astype(np.float32)
    labels = (data[:, 0, 0] > 0).astype(np.int64)
    history = Trainer(net, optimizer=SGD(0.2)).fit([data, mask], labels, epochs=3, batch_size=20, progress=False)
    assert history.loss[-1] < history.loss[0]
    net.save(tmp_path / "net.safetensors")
    loaded = martlet.load(tmp_path / "net.safetensors")
    assert np.array_equal(loaded([data, mask]), net([data, mask]))
    folded, certificate = net.fold([data, mask])
    assert certificate.within_bounds
    assert [layer.kind for layer in folded.layers] == ["conv1d", "relu", "global_avg_pool1d", "dense"]
    again = loaded.forward([data[:20], mask[:20]], training=True)
    assert np.array_equal(again, net.forward([data[:20], mask[:20]], training=True))


def test_wrong_weights():
    x = Input((4, 3))
    for w in (Input((3,)), Input((4, 3)), Input(())):
        y = BatchNorm()(x, weights=w)
        with pytest.raises(martlet.ShapeError, match="weights: one for each position"):
            Model([x, w], y)
    with pytest.raises(InvalidArgumentError, match="weights must be an Input"):
        BatchNorm()(x, weights=np.ones(4))


def test_variants_are_saved_with_the_model(tmp_path):
    layer = BatchNorm(virtual_batch_size=16, renormalization=BatchRenormalization(2.0, 1.0, (10, 20), (0, 5)))
    net = Sequential([layer], input_shape=(3,))
    net.save(tmp_path / "net.safetensors")
    loaded = martlet.load(tmp_path / "net.safetensors").layers[0]
    assert (loaded.virtual_batch_size, loaded.renormalization) == (16, layer.renormalization)
    assert repr(loaded).startswith(
        "BatchNorm(virtual_batch_size=16, renormalization=BatchRenormalization(r_max=2.0, d_max=1.0,"
    )
