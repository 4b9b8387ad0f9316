"""Limits and nonsense, from builders, files and state dictionaries: refused by name, and the model is as it was."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import safetensors.numpy

import martlet
from martlet import (
    Add,
    BatchNorm,
    CorruptFileError,
    Dense,
    Input,
    InputNormalization,
    InvalidArgumentError,
    LayerNorm,
    MartletError,
    Model,
    ReLU,
    Reshape,
    Sequential,
    ShapeError,
    _abi,
)

ROW_RANK = _abi.MAX_RANK - 1


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def write(path, architecture):
    """A file without tensors."""
    header = json.dumps({"__metadata__": {"martlet": json.dumps(architecture)}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


def chain(shape=(1,), layers=(("relu", {}),)):
    """The architecture of an input and layers behind each other."""
    return {
        "format": "martlet",
        "version": 1,
        "layers": [{"name": str(place), "kind": kind, "options": options} for place, (kind, options) in enumerate(layers)],
        "nodes": [{"input": list(shape), "name": "input"}, *({"layer": i, "from": [i]} for i in range(len(layers)))],
        "inputs": [0],
        "outputs": [len(layers)],
        "frozen": [],
    }


# ---- Rank ----


@pytest.mark.parametrize("rank", [2, 14, ROW_RANK])
def test_rows_of_every_rank_run_and_are_described(path, rank):
    row = (*([1] * (rank - 2)), 2, 3)
    net = Sequential([LayerNorm(over="all"), ReLU(), Reshape(row)], input_shape=row, seed=1)
    x = np.random.default_rng(0).normal(size=(4, *row)).astype(np.float32)
    for model in (net, net.clone()):
        assert model.input_shape == model.output_shape == row
        y = model.forward(x, training=True)
        assert y.shape == x.shape
        assert model.backward(np.ones_like(x)).shape == x.shape
        assert model.state_dict()["0.weight"].shape == row
        assert model.parameters()["0.weight"].shape == row
        assert np.array_equal(model.predict(x), y)
        assert str(list(row)) in model.summary()
        assert model.plan(4, training=False)
    net.save(path)
    assert np.array_equal(martlet.load(path).predict(x), net.predict(x))


@pytest.mark.parametrize("rank", [ROW_RANK + 1, ROW_RANK + 2, 64, 1000])
def test_rows_of_more_axes_are_refused(path, rank):
    ones = (1,) * rank
    with pytest.raises(ShapeError, match=r"rank: expected 0\.\.\.15"):
        Sequential([ReLU()], input_shape=ones)
    with pytest.raises(ShapeError, match=r"rank: expected 0\.\.\.15"):
        Sequential([Reshape(ones)], input_shape=(1,))
    write(path, chain(ones))
    with pytest.raises(CorruptFileError, match=rf"at most 15 axes .*got {rank}"):
        martlet.load(path)
    write(path, chain((1,), [("reshape", {"shape": list(ones)})]))
    with pytest.raises(CorruptFileError, match=rf"at most 15 axes .*got {rank}"):
        martlet.load(path)


def test_arrays_and_tensors_of_files_have_at_most_16_axes(net, path):
    with pytest.raises(ShapeError, match=r"rank in 0\.\.\.16; got 17"):
        martlet.Tensor(np.ones((1,) * 17, np.float32))
    assert martlet.Tensor(np.ones((1,) * 16, np.float32)).shape == (1,) * 16
    state = {**net.state_dict(), "elsewhere": np.zeros((1,) * 17, np.float32)}
    safetensors.numpy.save_file(state, path)
    with pytest.raises(CorruptFileError, match="17 dimensions"):
        net.load_weights(path, strict=False)


# ---- Counts and names ----


def test_inputs_of_a_layer():
    x = Input((1,))
    most = Model(x, Add()([x] * _abi.MAX_INPUTS))
    assert most.predict(np.ones((1, 1), np.float32)) == _abi.MAX_INPUTS
    with pytest.raises(InvalidArgumentError, match=r"expected a count in 0\.\.\.4096; got 4097"):
        Model(x, Add()([x] * (_abi.MAX_INPUTS + 1)))


def test_outputs_of_a_model(path):
    x = Input((1,))
    y = ReLU(name="relu")(x)
    net = Model(x, [y] * _abi.MAX_OUTPUTS)
    with pytest.raises(InvalidArgumentError, match=r"^outputs: expected"):
        Model(x, [y] * (_abi.MAX_OUTPUTS + 1))
    with pytest.raises(InvalidArgumentError, match="layer_names"):
        net.submodel(["relu"] * (_abi.MAX_OUTPUTS + 1))
    described = chain()
    described["outputs"] = [1] * (_abi.MAX_OUTPUTS + 1)
    write(path, described)
    with pytest.raises(CorruptFileError, match="outputs: expected at most 4096"):
        martlet.load(path)


def test_nodes_and_places_of_files(path):
    described = chain(layers=[("relu", {})] * _abi.MAX_NODES)
    write(path, described)
    with pytest.raises(CorruptFileError, match="at most 16384 nodes"):
        martlet.load(path)
    described = chain()
    described["nodes"] += [{"layer": 0, "from": [0]}] * _abi.MAX_PLACES
    write(path, described)
    with pytest.raises(CorruptFileError, match="at most 4096 places"):
        martlet.load(path)


@pytest.mark.parametrize(
    "name", ["", "a/b", "a\nb", "\x01", "\x7f", "\x85", "\0", "\ud800", "x" * (_abi.MAX_NAME_LENGTH + 1), "\u0301" * 600]
)
def test_names_that_are_refused(path, name):
    with pytest.raises(InvalidArgumentError, match="name"):
        Sequential([ReLU(name=name)], input_shape=(1,))
    with pytest.raises(InvalidArgumentError, match="name"):
        Model(x := Input((1,), name=name), ReLU()(x))
    described = chain()
    described["layers"][0]["name"] = name
    write(path, described)
    with pytest.raises(CorruptFileError, match=r"name|surrogate"):
        martlet.load(path)


@pytest.mark.parametrize("name", ["a.b", "слой", "層 1", "🐦", "x" * _abi.MAX_NAME_LENGTH])
def test_names_that_are_taken(path, name):
    net = Sequential([BatchNorm(name=name)], input_shape=(1,))
    net.save(path)
    assert [layer.name for layer in martlet.load(path).layers] == [name]


# ---- Architectures ----


def changed(change):
    described = chain((3,), [("relu", {}), ("dropout", {"rate": 0.5})])
    change(described)
    return described


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a.update(precision="half"), 'unknown member "precision"'),
        (lambda a: a["layers"][0].update(quantized=True), 'layer 0: .*unknown member "quantized"'),
        (lambda a: a["layers"][0]["options"].update(slope=0.1), 'layer "0": relu: .*unknown option "slope"'),
        (lambda a: a["layers"][1]["options"].update(seed=1), 'layer "1": dropout: .*unknown option "seed"'),
        (lambda a: a["layers"][1].update(options={"rate": 1.5}), "rate"),
        (lambda a: a["layers"][1].update(options={"rate": -0.1}), "rate"),
        (lambda a: a["layers"][1].update(options={}), 'the option "rate"'),
        (lambda a: a["nodes"][0].update(layout="channels_first"), 'node 0: .*unknown member "layout"'),
        (lambda a: a["nodes"][0].update(layer=0), 'node 0: .*unknown member "layer"'),
        (lambda a: a["nodes"][1].update(input=[3], name="x"), "node 1"),
        (lambda a: a["nodes"][1].update(layer=0.0), "node 1"),
        (lambda a: a["layers"].append({"name": "2", "kind": "relu", "options": {}}), 'layer "2" stands at none'),
        (lambda a: a["layers"].append({"name": "2", "kind": "dense", "options": {}}), "units"),
        (lambda a: a["nodes"].append({"input": [1], "name": "lost"}), r'node 3 \("lost"\) is read by none'),
        (lambda a: a.update(outputs=[1]), r'node 2 \("1"\) is read by none'),
        (lambda a: a.update(inputs=[0, 0]), "inputs"),
        (lambda a: a.update(outputs=[9]), "outputs"),
        (lambda a: a.pop("frozen"), 'the member "frozen"'),
        (lambda a: a.update(frozen=[1]), "frozen"),
        (lambda a: a.update(frozen={"0.weight": True}), "frozen"),
        (lambda a: a.update(frozen=["0.weight"]), "0.weight"),
    ],
)
def test_nonsense_in_an_architecture_is_refused_by_name(path, change, words):
    write(path, changed(lambda _: None))
    assert martlet.load(path).layers
    write(path, changed(change))
    with pytest.raises(CorruptFileError, match=words):
        martlet.load(path)


# ---- Values of state ----

NONSENSE = [
    ("2.running_var", -0.5, "got -0.5 in channel 1"),
    ("2.running_var", -9e-6, "in channel 1"),
    ("2.running_var", float("nan"), "got nan in channel 1"),
    ("2.running_mean", float("inf"), "got inf in channel 1"),
    ("2.num_batches_tracked", -1, "whole number of 0 or more"),
    ("2.num_batches_skipped", -7, "whole number of 0 or more"),
    ("0.mean", float("nan"), "got nan in channel 1"),
    ("0.variance", -1.0, "got -1.0 in channel 1"),
    ("0.variance", float("inf"), "got inf in channel 1"),
    ("0.count", -1, "whole number of 0 or more"),
]


def network():
    return Sequential([InputNormalization(), Dense(5), BatchNorm(), Dense(3)], input_shape=(4,), seed=1)


def spoiled(name, value):
    state = network().state_dict()
    if state[name].ndim == 0:
        state[name] = np.array(value, np.int64)
    else:
        state[name][1] = value
    return state


@pytest.mark.parametrize(("name", "value", "words"), NONSENSE)
@pytest.mark.parametrize("strict", [True, False])
def test_state_dictionaries_of_nonsense_are_refused(name, value, words, strict):
    net = network()
    before = net.state_dict()
    with pytest.raises(MartletError, match=f"{name}: expected .*{words}"):
        net.load_state_dict(spoiled(name, value), strict=strict)
    after = net.state_dict()
    assert all(np.array_equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize(("name", "value", "words"), NONSENSE)
def test_files_of_nonsense_are_refused(path, name, value, words):
    net = network()
    before = net.state_dict()
    state = spoiled(name, value)
    safetensors.numpy.save_file(state, path, {"martlet": net.architecture})
    with pytest.raises(CorruptFileError, match=f"{name}: expected .*{words}"):
        martlet.load(path)
    with pytest.raises(MartletError, match=f"{name}: expected .*{words}"):
        net.load_weights(path)
    state = {key: np.asarray(value, np.float64) if value.dtype == np.float32 else value for key, value in state.items()}
    safetensors.numpy.save_file(state, path)
    with pytest.raises(MartletError, match=f"{name}: expected .*{words}"):
        net.load_weights(path)
    after = net.state_dict()
    assert all(np.array_equal(before[key], after[key]) for key in before)
