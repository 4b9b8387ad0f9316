"""Models: building, running, looking in, several inputs and outputs."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest

from martlet import (
    BatchNorm,
    Dense,
    Dropout,
    Input,
    InvalidArgumentError,
    InvalidStateError,
    Model,
    ReLU,
    Sequential,
    ShapeError,
    Sigmoid,
)


def two_by_two():
    a, b = Input((3,), name="a"), Input((2,), name="b")
    left, right = Dense(4, name="left")(a), Dense(5, name="right")(b)
    return Model([a, b], [ReLU(name="left_out")(left), right], seed=2)


def test_sequential_names_layers_by_place(net):
    assert [layer.name for layer in net.layers] == ["0", "1", "2", "3"]
    assert list(net.state_dict()) == [
        "0.weight",
        "0.bias",
        "1.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
        "1.num_batches_skipped",
        "3.weight",
        "3.bias",
    ]


def test_sequential_takes_an_input_instead_of_a_shape():
    net = Sequential([Input((4,)), Dense(2)])
    assert (net.input_shape, net.output_shape) == ((4,), (2,))
    assert Sequential([Dense(2)], input_shape=4).input_shape == (4,)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Sequential([Dense(2)]), "shape of one row once"),
        (lambda: Sequential([Input((4,)), Dense(2)], input_shape=(4,)), "shape of one row once"),
        (lambda: Sequential([], input_shape=(4,)), "at least one layer"),
        (lambda: Sequential([Dense(2), "relu"], input_shape=(4,)), r"layers\[1\] must be a layer"),
        (lambda: Sequential([Dense(2)], input_shape=(4.0,)), r"shape\[0\] must be a whole number"),
        (lambda: Sequential([Dense(2)], input_shape=(4,), seed=-1), "seed must be at least 0"),
        (lambda: Sequential([Dense(2)], input_shape=(4,), seed=2**64), "seed must be at most"),
        (lambda: Model(3, 4), "inputs must be made by Input"),
        (lambda: Model(Input((2,)), Dense(2)(Input((2,)))), "not among inputs"),
        (lambda: Model([x := Input((2,)), x], Dense(2)(x)), "one Input twice"),
        (lambda: Model(x := Input((2,)), Dense(1)(x).parents[0].layer), "outputs must be made"),
    ],
)
def test_what_makes_no_model(make, words):
    with pytest.raises(InvalidArgumentError, match=words):
        make()


def test_predict_takes_the_short_way_and_the_long_one_to_the_same_bits(net, batch):
    x, _ = batch
    expected = net.predict(x, batch_size=4)
    read_only = x.copy()
    read_only.flags.writeable = False
    odd = np.frombuffer(bytearray(x.nbytes + 1), np.uint8)[1:].view(np.float32).reshape(x.shape)
    odd[:] = x
    assert not odd.flags.aligned
    for given in (x, x.astype(np.float64), x.tolist(), np.asfortranarray(x), read_only, odd, np.repeat(x, 2, axis=0)[::2]):
        assert np.array_equal(net.predict(given), expected)
    assert np.array_equal([net.predict(x[row : row + 1])[0] for row in range(len(x))], expected)
    assert net.predict(x[:0]).shape == (0, 3)
    for wrong in (x[:, :3], x[0], x[None], np.float32(1)):
        with pytest.raises(ShapeError):
            net.predict(wrong)


def test_predict_into_memory_of_the_callers(net, batch):
    x, _ = batch
    expected = net.predict(x)
    for given in (x, x.astype(np.float64)):
        out = np.zeros((16, 3), np.float32)
        assert net.predict(given, out=out) is out
        assert np.array_equal(out, expected)
    with pytest.raises(ShapeError, match="out has shape"):
        net.predict(x, out=np.zeros((15, 3), np.float32))
    for wrong in (np.zeros((16, 3)), np.zeros((3, 16), np.float32).T, [0.0]):
        with pytest.raises(InvalidArgumentError, match="out must be"):
            net.predict(x, out=wrong)
    memory = np.zeros(100, np.float32)
    with pytest.raises(InvalidArgumentError, match="shares memory"):
        net.predict(memory[:8].reshape(2, 4), out=memory[4:10].reshape(2, 3))
    both = two_by_two()
    a, b = np.ones((2, 3)), np.ones((2, 2))
    outs = [np.zeros((2, 4), np.float32), np.zeros((2, 5), np.float32)]
    assert both.predict([a, b], out=outs)[1] is outs[1]
    assert all(np.array_equal(*pair) for pair in zip(outs, both.predict([a, b])))
    with pytest.raises(InvalidArgumentError, match="list of 2"):
        both.predict([a, b], out=outs[0])


def test_call_and_predict_agree_for_any_batch_size(net, batch):
    x, _ = batch
    expected = net(x)
    assert expected.dtype == np.float32
    for size in (None, 1, 3, 16, 1000):
        assert np.array_equal(net.predict(x, batch_size=size), expected)
    for row in range(len(x)):
        assert np.array_equal(net(x[row : row + 1])[0], expected[row])


def test_any_array_will_do(net, batch):
    x, _ = batch
    expected = net(x)
    assert np.array_equal(net(x.astype(np.float64)), expected)
    assert np.array_equal(net(np.asfortranarray(x)), expected)
    assert np.array_equal(net(x.tolist()), expected)
    assert np.array_equal(net(x[::-1])[::-1], expected)


def test_no_rows_are_no_error(net):
    assert net(np.zeros((0, 4))).shape == (0, 3)


@pytest.mark.parametrize("x", [np.zeros((2, 5)), np.zeros(4), np.zeros((2, 4, 1)), 3.0])
def test_shapes_that_do_not_fit(net, x):
    with pytest.raises(ShapeError):
        net(x)
    with pytest.raises(ShapeError):
        net.forward(x, training=False)


@pytest.mark.parametrize("size", [0, -1, 2.5, 2**63])
def test_batch_sizes_that_cannot_be(net, size):
    with pytest.raises(InvalidArgumentError, match="batch_size"):
        net.predict(np.zeros((2, 4)), batch_size=size)


def test_forward_in_training_normalises_with_the_batch_and_moves_statistics(net, batch):
    x, _ = batch
    hidden = net.submodel("0")(x)
    y = net.forward(x, training=True)
    assert not np.allclose(y, net.forward(x, training=False))
    state = net.state_dict()
    assert state["1.num_batches_tracked"] == 1
    assert np.allclose(state["1.running_mean"], 0.1 * hidden.mean(0), atol=1e-6)
    assert np.allclose(state["1.running_var"], 0.9 + 0.1 * hidden.var(0, ddof=1), atol=1e-5)


def test_forward_gives_arrays_of_its_own(net, batch):
    x, _ = batch
    first = net.forward(x, training=False)
    kept = first.copy()
    net.forward(x * 2, training=False)
    assert np.array_equal(first, kept)


def test_training_must_be_said(net):
    with pytest.raises(TypeError, match="training"):
        net.forward(np.zeros((2, 4)))


def test_one_value_per_channel_is_an_error_that_changes_nothing(net):
    before = net.state_dict()
    with pytest.raises(InvalidArgumentError, match="2 or more values per channel"):
        net.forward(np.zeros((1, 4)), training=True)
    assert all(np.array_equal(before[name], value) for name, value in net.state_dict().items())


def test_backward_needs_a_training_forward_each_time(net, batch):
    x, _ = batch
    grad = np.ones((16, 3))
    with pytest.raises(InvalidStateError):
        net.backward(grad)
    net.forward(x, training=False)
    with pytest.raises(InvalidStateError):
        net.backward(grad)
    net.forward(x, training=True)
    assert net.backward(grad).shape == x.shape
    with pytest.raises(InvalidStateError):
        net.backward(grad)


def test_backward_checks_the_shape(net, batch):
    net.forward(batch[0], training=True)
    with pytest.raises(ShapeError):
        net.backward(np.ones((16, 4)))


def test_accumulate_adds(net, batch):
    x, _ = batch
    net.layers[1].freeze()
    net.forward(x, training=True)
    net.backward(np.ones((16, 3)))
    once = net.gradients()["0.weight"].copy()
    assert once.any()
    net.forward(x, training=True)
    net.backward(np.ones((16, 3)), accumulate=True)
    assert np.allclose(net.gradients()["0.weight"], 2 * once, atol=1e-5)


def test_several_inputs_and_outputs():
    net = two_by_two()
    assert net.input_shapes == [(3,), (2,)]
    assert net.output_shapes == [(4,), (5,)]
    a, b = np.ones((6, 3), np.float32), np.ones((6, 2), np.float32)
    left, right = net([a, b])
    assert (left.shape, right.shape) == ((6, 4), (6, 5))
    outputs = net.forward([a, b], training=True)
    grad_a, grad_b = net.backward([np.ones_like(output) for output in outputs])
    weight = net.parameters()["right.weight"]
    assert np.allclose(grad_b, weight.sum(0), atol=1e-6)
    assert grad_a.shape == (6, 3)
    with pytest.raises(InvalidArgumentError, match="x must be a list of 2 arrays"):
        net(a)
    with pytest.raises(ShapeError):
        net([a, b[:3]])


def test_layers_by_name(net):
    assert net.layer("1") is net.layers[1]
    with pytest.raises(InvalidArgumentError, match="no layer named 'x'; it has '0'"):
        net.layer("x")


def test_submodel_shares_parameters_both_ways(net, batch):
    x, _ = batch
    part = net.submodel("0")
    assert part.output_shape == (5,)
    net.parameters()["0.weight"][:] = 0
    net.parameters()["0.bias"][:] = 3
    assert (part(x) == 3).all()
    part.parameters()["0.bias"][:] = 4
    assert (net.submodel(["0"])(x) == 4).all()
    hidden, output = net.submodel(["2", "3"])(x)
    assert np.array_equal(output, net(x))
    assert hidden.shape == (16, 5)
    with pytest.raises(InvalidArgumentError, match="nothing"):
        net.submodel("nothing")


def test_submodel_outlives_its_model(net, batch):
    part = net.submodel("0")
    expected = part(batch[0])
    net.close()
    del net
    assert np.array_equal(part(batch[0]), expected)


@pytest.mark.parametrize(
    "how", [lambda net: net.clone(), copy.copy, copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))]
)
def test_copies_are_independent(net, batch, how):
    x, _ = batch
    net.layers[1].freeze()
    net.set_trainable("0.bias", False)
    twin = how(net)
    assert type(twin) is Sequential
    assert np.array_equal(twin(x), net(x))
    assert twin.trainable() == net.trainable()
    assert twin.layers[1].normalize_with == "moving"
    assert repr(twin) == repr(net)
    expected = net(x)
    twin.parameters()["3.bias"][:] = 100
    assert np.array_equal(net(x), expected)


def test_summary_shows_every_layer_and_the_sums(net):
    lines = net.summary().splitlines()
    assert lines[0].split() == ["layer", "kind", "row", "shape", "parameters", "state"]
    assert lines[2].split()[:4] == ["0", "dense", "[5]", "25"]
    assert lines[3].split()[:4] == ["1", "batch_norm", "[5]", "10"]
    assert lines[-1].split()[:2] == ["total", "53"]
    assert len({len(line) for line in lines}) == 1


def test_plan_tells_the_steps(net):
    assert net.plan(32, training=True) != net.plan(32, training=False)
    lines = net.plan(32, training=True).splitlines()
    assert lines[1].split("  ")[-1] == "stays for backward"
    assert lines[2].split()[:3] == ["0", "dense,", "moments"]
    assert "moments" not in net.plan(32, training=False)
    assert lines[3].split()[:4] == ["1", "batch_norm", "+", "2"]
    assert "  input 640, " in lines[3]  # 32 rows of 5 numbers
    assert " bytes in one arena (" in lines[-1]
    with pytest.raises(InvalidArgumentError):
        net.plan(0, training=True)


def test_architecture_is_json(net):
    described = json.loads(net.architecture)
    assert [layer["kind"] for layer in described["layers"]] == ["dense", "batch_norm", "sigmoid", "dense"]


def test_trainable_by_tensor_and_by_layer(net):
    assert all(net.trainable().values())
    net.set_trainable("0.weight", False)
    assert net.trainable() == {name: name != "0.weight" for name in net.parameters()}
    net.set_trainable("3", False)
    assert not any(net.trainable()[name] for name in ("3.weight", "3.bias"))
    with pytest.raises(InvalidArgumentError, match="no tensor"):
        net.set_trainable("9.weight", False)
    with pytest.raises(InvalidArgumentError, match="trainable must be"):
        net.set_trainable("0.weight", "no")


def test_population_statistics_do_not_depend_on_the_batches(rng):
    x = rng.normal(3, 2, size=(1000, 4)).astype(np.float32)
    found = []
    for size in (7, 1000):
        net = Sequential([Dense(6), BatchNorm(), Sigmoid(), Dropout(0.5), Dense(3), BatchNorm()], input_shape=(4,), seed=1)
        net.update_population_statistics(x, batch_size=size)
        found.append(net.state_dict())
    first, second = found
    hidden = net.submodel("0")(x)
    assert np.allclose(second["1.running_mean"], hidden.mean(0), atol=1e-5)
    assert np.allclose(second["1.running_var"], hidden.var(0, ddof=1), rtol=1e-5)
    for name in first:
        if "num_batches" not in name:
            assert np.allclose(first[name], second[name], atol=1e-5), name


def test_repr_shows_the_layers(net):
    assert repr(net) == ("Sequential(Dense(5, name='0'), BatchNorm(name='1'), Sigmoid(name='2'), Dense(3, name='3'))")


def test_half_precision_of_small_and_large_weights(rng):
    x = rng.standard_normal((64, 20)).astype(np.float32)
    for size in (1e-30, 1e-7, 1e5, 1e30):
        net = Sequential(
            [Dense(6, bias=False), BatchNorm(epsilon=min(max(size**2 * 1e-5, 1e-40), 1e30))], input_shape=(20,), seed=1
        )
        net.load_state_dict({"0.weight": net.state_dict()["0.weight"] * np.float32(size)}, strict=False)
        if size < 1e10:  # whose squares float32 holds
            net.update_population_statistics(x)
        exact = net.predict(x)
        net.inference_weights = "float16"
        assert "float16 weights" in net.plan(1, training=False)
        np.testing.assert_allclose(net.predict(x), exact, rtol=2**-8, atol=2**-8 * np.abs(exact).max())
    net = Sequential([Dense(2)], input_shape=(2,))
    net.load_state_dict({"0.weight": np.float32([[np.inf, 1], [1, 1]])}, strict=False)
    net.inference_weights = "float16"
    assert "float32 weights" in net.plan(1, training=False)
    assert "weights" not in net.plan(1, training=True)


def test_inference_weights_in_half_precision(rng):
    net = Sequential([Dense(40), BatchNorm(), ReLU(), Dense(5)], input_shape=(30,), seed=1)
    x = rng.standard_normal((20, 30)).astype(np.float32)
    assert net.inference_weights == "float32"
    exact = net.predict(x)
    net.inference_weights = "float16"
    assert net.inference_weights == "float16"
    rounded = net.predict(x)
    assert not np.array_equal(exact, rounded)
    np.testing.assert_allclose(rounded, exact, atol=2e-2)
    np.testing.assert_array_equal(net.predict(x[3:4]), rounded[3:4])
    with pytest.raises(InvalidArgumentError, match="inference_weights"):
        net.inference_weights = "int8"
    assert net.inference_weights == "float16"
    net.inference_weights = "float32"
    np.testing.assert_array_equal(net.predict(x), exact)
