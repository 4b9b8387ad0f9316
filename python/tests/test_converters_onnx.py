"""ONNX's BatchNormalization. All but the last test need NumPy alone."""

from __future__ import annotations

import numpy as np
import pytest

import martlet
from martlet import BatchNorm, Sequential
from martlet.converters import batch_norm_from_onnx, batch_norm_to_onnx

TENSORS = [np.array(values, np.float32) for values in ([2, 3], [0.5, -1], [1, -2], [4, 0.25])]


def test_attributes_and_tensors():
    layer, tensors = batch_norm_from_onnx({"epsilon": np.float32(1e-3), "momentum": np.float32(0.8)}, TENSORS, name="n")
    # As decimals: ONNX's float32 0.8 is 0.800000011920929.
    assert (layer.epsilon, layer.momentum, layer.biased_moving_variance) == (1e-3, 0.8, True)
    net = Sequential([layer], input_shape=(2,))
    net.load_state_dict({f"n.{key}": value for key, value in tensors.items()})
    np.testing.assert_allclose(net([[3.0, -2.0]]), [[2 * 2 / np.sqrt(4.001) + 0.5, -1]], rtol=1e-6)
    attributes, inputs = batch_norm_to_onnx(layer)
    assert attributes == {"epsilon": 1e-3, "momentum": 0.8, "training_mode": 0}
    for got, want in zip(inputs, TENSORS):
        np.testing.assert_array_equal(got, want)


def test_the_defaults_are_those_of_the_specification():
    layer, _ = batch_norm_from_onnx({}, TENSORS)
    assert (layer.epsilon, layer.momentum, layer.scale, layer.shift) == (1e-5, 0.9, True, True)


def test_the_moving_variance_takes_the_biased_one():
    layer, tensors = batch_norm_from_onnx({"momentum": 0.5, "training_mode": 1}, [array[:1] for array in TENSORS], name="n")
    net = Sequential([layer], input_shape=(1,))
    net.load_state_dict({f"n.{key}": value for key, value in tensors.items()})
    net.forward([[0.0], [4.0]], training=True)
    # By the specification: 4 · 0.5 + ReduceVar([0, 4]) · 0.5, and ReduceVar divides by N.
    assert net.state_dict()["n.running_var"] == 4 * 0.5 + 4 * 0.5
    assert net.state_dict()["n.running_mean"] == 1 * 0.5 + 2 * 0.5


def test_what_is_refused():
    with pytest.raises(martlet.UnsupportedError, match="spatial=0"):
        batch_norm_from_onnx({"spatial": 0}, TENSORS)
    assert batch_norm_from_onnx({"spatial": 1, "is_test": 1, "consumed_inputs": [0]}, TENSORS).layer.scale
    with pytest.raises(martlet.UnsupportedError, match="training_mode that is neither 0 nor 1"):
        batch_norm_from_onnx({"training_mode": 2}, TENSORS)
    with pytest.raises(martlet.UnsupportedError, match="alpha"):
        batch_norm_from_onnx({"alpha": 1.0}, TENSORS)
    with pytest.raises(martlet.InvalidArgumentError, match="got 3 arrays"):
        batch_norm_from_onnx({}, TENSORS[:3])
    with pytest.raises(martlet.ShapeError, match="one shape"):
        batch_norm_from_onnx({}, [*TENSORS[:3], np.ones(3)])
    with pytest.raises(martlet.InvalidArgumentError, match="by name need the node"):
        batch_norm_from_onnx({}, {"scale": TENSORS[0]})
    net = Sequential([BatchNorm(None)], input_shape=(2,))
    with pytest.raises(martlet.UnsupportedError, match="plain average"):
        batch_norm_to_onnx(net.layers[0])


def test_a_node_as_onnx_itself_runs_it():
    pytest.importorskip("onnx", reason="the peer: ONNX is not installed")
    from onnx import TensorProto, helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    rng = np.random.default_rng(0)
    tensors = {name: rng.uniform(0.5, 1.5, 3).astype(np.float32) for name in ("s", "b", "m", "v")}
    node = helper.make_node(
        "BatchNormalization",
        ["X", "s", "b", "m", "v"],
        ["Y", "mo", "vo"],
        name="bn",
        epsilon=1e-3,
        momentum=0.8,
        training_mode=1,
    )
    shapes = {"X": [4, 3, 2, 2], "Y": [4, 3, 2, 2], "mo": [3], "vo": [3]}
    places = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    initializers = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    graph = helper.make_graph([node], "g", [places["X"]], [places[name] for name in ("Y", "mo", "vo")], initializers)
    x = rng.normal(size=(4, 3, 2, 2)).astype(np.float32)
    y, mean, variance = ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)])).run(
        None, {"X": x}
    )

    layer, own = batch_norm_from_onnx(node, {initializer.name: initializer for initializer in graph.initializer})
    assert (layer.name, layer.epsilon, layer.momentum) == ("bn", 1e-3, 0.8)
    net = Sequential([layer], input_shape=(2, 2, 3))
    net.load_state_dict({f"bn.{key}": value for key, value in own.items()})
    got = net.forward(np.moveaxis(x, 1, -1), training=True)
    np.testing.assert_allclose(np.moveaxis(got, -1, 1), y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(net.state_dict()["bn.running_mean"], mean, rtol=1e-6)
    np.testing.assert_allclose(net.state_dict()["bn.running_var"], variance, rtol=1e-6)
