"""Files: whole models in safetensors, read and written by others too."""

from __future__ import annotations

import copy
import json
import os
import pickle
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import martlet
from martlet import (
    BatchNorm,
    CorruptFileError,
    Dense,
    Dropout,
    FileError,
    Flatten,
    Initializer,
    Input,
    InputNormalization,
    InvalidArgumentError,
    Model,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
    Trainer,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def test_a_model_comes_back_whole(net, batch, path):
    x, y = batch
    Trainer(net).step(x, y)
    net.set_trainable("3.bias", False)
    net.save(path)
    loaded = martlet.load(path)
    assert np.array_equal(loaded(x), net(x))
    assert repr(loaded.layers) == repr(net.layers)
    assert loaded.architecture == net.architecture
    assert loaded.trainable() == net.trainable()
    for name, value in net.state_dict().items():
        assert np.array_equal(loaded.state_dict()[name], value)


def test_every_layer_and_option_comes_back(path):
    layers = [
        InputNormalization(0.5),
        Flatten(),
        Dense(4, bias=False, weight_initializer=Initializer("normal", 0.25), name="first"),
        BatchNorm(None, 1e-3, shift=False, biased_moving_variance=True, count_nonfinite_batches=True, updates_moving=False),
        Tanh(),
        Dropout(0.25),
        Dense(3, weight_initializer="he_normal", bias_initializer=Initializer("constant", 1.5)),
        BatchNorm(0.5, scale=False, normalize_with="moving", trains_scale_shift=False),
        ReLU(),
        Sigmoid(),
        Softmax(),
    ]
    net = Sequential(layers, input_shape=(2, 3))
    net.fit_input_normalization(np.random.default_rng(0).normal(size=(50, 2, 3)))
    net.save(path)
    loaded = martlet.load(path)
    assert repr(loaded.layers) == repr(layers)
    assert not loaded.layer("3").updates_moving
    assert loaded.layer("7").normalize_with == "moving"
    x = np.random.default_rng(1).normal(size=(4, 2, 3))
    assert np.array_equal(loaded(x), net(x))


def test_graphs_come_back(path):
    a, b = Input((3,)), Input((2,))
    net = Model([a, b], [Dense(2)(b), ReLU()(Dense(4)(a))], seed=5)
    net.save(path)
    loaded = martlet.load(path)
    x = [np.ones((2, 3)), np.ones((2, 2))]
    assert all(np.array_equal(one, other) for one, other in zip(loaded(x), net(x)))


def test_another_reader_sees_every_tensor_and_the_architecture(net, batch, path):
    Trainer(net).step(*batch)
    net.save(path)
    found = safetensors.numpy.load_file(path)
    expected = net.state_dict()
    # A counter that other libraries do not know is left out while it says nothing.
    assert expected.keys() - found.keys() == {"1.num_batches_skipped"}
    del expected["1.num_batches_skipped"]
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert np.array_equal(found[name], value)
    with safetensors.safe_open(path, "np") as file:
        described = [json.loads(value) for value in file.metadata().values() if value.startswith("{")]
    assert [layer["kind"] for layer in described[0]["layers"]] == ["dense", "batch_norm", "sigmoid", "dense"]


def test_another_writers_tensors_load(net, path):
    state = {name: np.array(value * 2, order="C") for name, value in net.state_dict().items()}
    safetensors.numpy.save_file(state, path)
    net.load_state_dict(safetensors.numpy.load_file(path))
    for name, value in net.state_dict().items():
        assert np.array_equal(value, state[name])


def test_a_whole_model_rewritten_by_another_writer_loads(net, batch, path):
    net.save(path)
    with safetensors.safe_open(path, "np") as file:
        metadata, names = file.metadata(), list(file.keys())
        state = {name: file.get_tensor(name) for name in names}
    safetensors.numpy.save_file(dict(reversed(state.items())), path, metadata)
    assert np.array_equal(martlet.load(path)(batch[0]), net(batch[0]))


def test_a_file_without_an_architecture_says_so(net, path):
    safetensors.numpy.save_file(net.state_dict(), path)
    with pytest.raises(CorruptFileError):
        martlet.load(path)


def test_weights_go_into_a_model_that_exists(net, batch, path):
    other = net.clone()
    Trainer(other).step(*batch)
    other.save(path)
    assert not np.array_equal(net(batch[0]), other(batch[0]))
    net.load_weights(path)
    assert np.array_equal(net(batch[0]), other(batch[0]))


@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_weights_of_other_types_are_converted(net, path, dtype):
    state = {
        name: value.astype(dtype) if value.dtype.kind == "f" else value.astype(np.int32)
        for name, value in net.state_dict().items()
    }
    safetensors.numpy.save_file(state, path)
    net.load_weights(path)
    for name, value in net.state_dict().items():
        assert np.array_equal(value, state[name])


def test_weights_of_another_architecture_name_the_layer(net, path):
    image = (8, 8, 3)
    small = martlet.models.cnn(image, 10, width=8)
    martlet.models.cnn(image, 10, width=16).save(path)
    before = small.state_dict()
    layer = small.layers[0].name
    with pytest.raises(martlet.ShapeError, match=rf'layer "{layer}" \(conv2d\)') as caught:
        small.load_weights(path)
    assert "the file's has" in str(caught.value)
    with pytest.raises(InvalidArgumentError, match=r'nothing to load.*the model has "0.weight"'):
        net.load_weights(path)
    after = small.state_dict()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_weights_that_fit_are_taken_if_one_wants_so(net, path):
    state = net.state_dict()
    kept = np.full_like(state["0.bias"], 7.0)
    safetensors.numpy.save_file({"0.bias": kept, "elsewhere": np.zeros(3, np.float32)}, path)
    with pytest.raises(InvalidArgumentError, match="elsewhere"):
        net.load_weights(path)
    net.load_weights(path, strict=False)
    assert np.array_equal(net.state_dict()["0.bias"], kept)
    assert np.array_equal(net.state_dict()["0.weight"], state["0.weight"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda nodes: nodes[1].update({"from": [2]}), "node 1 reads a node that is not before it"),
        (lambda nodes: nodes[2].update({"from": [2]}), "node 2 reads a node that is not before it"),
        (lambda nodes: nodes[2].update({"from": [-1]}), "node 2 reads a node that is not before it"),
    ],
    ids=["of two", "of one", "before all"],
)
def test_cyclic_graphs_are_refused(net, path, change, words):
    described = json.loads(net.architecture)
    change(described["nodes"])
    safetensors.numpy.save_file(net.state_dict(), path, {"martlet": json.dumps(described)})
    with pytest.raises(CorruptFileError, match=words):
        martlet.load(path)


def test_saving_replaces_and_leaves_nothing_beside(net, path):
    path.write_bytes(b"old")
    net.save(path)
    net.save(os.fsencode(path))
    net.save(str(path))
    assert os.listdir(path.parent) == [path.name]
    martlet.load(path)


def test_paths_that_cannot_be(net, tmp_path):
    with pytest.raises(FileError) as caught:
        net.save(tmp_path / "missing" / "net")
    assert isinstance(caught.value, OSError)
    with pytest.raises(FileError):
        net.save(tmp_path)
    with pytest.raises(FileError, match="absent"):
        martlet.load(tmp_path / "absent")
    with pytest.raises(FileError):
        martlet.load(tmp_path)
    with pytest.raises(InvalidArgumentError):
        net.save(3)
    with pytest.raises(InvalidArgumentError):
        martlet.load("a\0b")
    assert os.listdir(tmp_path) == []


def test_hostile_files_are_errors(net, path):
    net.save(path)
    whole = path.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    header = whole[8 : 8 + length]
    hostile = {
        "empty": b"",
        "short": whole[:7],
        "only a length": whole[:8],
        "cut header": whole[: 8 + length // 2],
        "cut data": whole[:-1],
        "more data": whole + b"\0",
        "endless header": struct.pack("<Q", 2**63 - 1) + whole[8:],
        "long header": struct.pack("<Q", len(whole)) + whole[8:],
        "no json": whole[:8] + b"x" * length + whole[8 + length :],
        "other shape": whole.replace(b'"shape":[5,4]', b'"shape":[4,5]'),
        "huge shape": whole.replace(b'"shape":[5,4]', b'"shape":[9,9]'),
        "other kind": whole.replace(b"batch_norm", b"batch_nerm"),
        "other dtype": whole.replace(b'"F32"', b'"F16"', 1),
        "deep": struct.pack("<Q", 100000) + b"[" * 100000,
        "text": b"hello, world\n" * 10,
    }
    assert header.startswith(b"{")
    for name, contents in hostile.items():
        assert contents != whole, name
        path.write_bytes(contents)
        with pytest.raises(CorruptFileError):
            martlet.load(path)


def test_every_single_cut_is_an_error(net, path):
    net.save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptFileError):
            martlet.load(path)


# -- a part of a network --


def test_a_submodel_comes_back_from_files_pickles_and_copies(net, batch, path):
    net.set_trainable("0.bias", False)
    part = net.submodel("2")
    x = batch[0]
    part.save(path)
    for other in (martlet.load(path), pickle.loads(pickle.dumps(part)), copy.deepcopy(part), part.clone()):
        assert np.array_equal(other(x), part(x))
        assert [layer.name for layer in other.layers] == ["0", "1", "2"]
        assert other.trainable() == part.trainable()
        assert list(other.state_dict()) == list(part.state_dict())
    with safetensors.safe_open(path, "np") as file:
        assert not [name for name in list(file.keys()) if name.startswith("3.")]


# -- files that do not fit --


@pytest.mark.parametrize("strict", [True, False])
def test_weights_of_which_nothing_fits_are_an_error(net, path, strict):
    before = net.state_dict()
    wrapped = {f"module.{name}": np.asarray(value + 1) for name, value in before.items()}
    safetensors.numpy.save_file(wrapped, path)
    with pytest.raises(InvalidArgumentError, match=r'"module\.0\.\w+".*prefix "module\."'):
        net.load_weights(path, strict=strict)
    with pytest.raises(InvalidArgumentError, match=r"'module\.0\.\w+'.*'0\.weight'"):
        net.load_state_dict(wrapped, strict=strict)
    assert all(np.array_equal(value, before[name]) for name, value in net.state_dict().items())


def test_load_weights_tells_what_it_met(net, path):
    state = net.state_dict()
    safetensors.numpy.save_file({"0.bias": state["0.bias"], "head.bias": state["0.bias"]}, path)
    result = net.load_weights(path, strict=False)
    assert result.matched == ["0.bias"]
    assert result.unexpected == ["head.bias"]
    assert result.missing == [name for name in state if name != "0.bias"]
    assert net.load_state_dict({"0.bias": state["0.bias"]}, strict=False).matched == ["0.bias"]
    assert net.load_state_dict({}, strict=False).matched == []


def write_raw(path, tensors):
    """A safetensors file of (name, dtype, shape, bytes)."""
    header, data = {}, b""
    for name, dtype, shape, value in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(value)]}
        data += value
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def test_tensors_of_types_that_are_not_read_do_no_harm(net, path):
    bias = np.arange(5, dtype=np.float32)
    write_raw(path, [("0.bias", "F32", [5], bias.tobytes()), ("0.scale", "F8_E4M3FNUZ", [3], b"abc"), ("q", "F4", [4], b"ab")])
    assert net.load_weights(path, strict=False).unexpected == ["0.scale", "q"]
    assert np.array_equal(net.state_dict()["0.bias"], bias)
    write_raw(path, [("0.bias", "F8_E4M3FNUZ", [5], b"abcde")])
    with pytest.raises(martlet.UnsupportedError, match=r'"0\.bias" holds F8_E4M3FNUZ'):
        net.load_weights(path, strict=False)


@pytest.mark.parametrize(
    ("dtype", "value"), [("U16", np.uint16(9)), ("U64", np.uint64(9)), ("F32", np.float32(9)), ("U8", np.uint8(9))]
)
def test_counters_of_every_type(net, path, dtype, value):
    write_raw(path, [("1.num_batches_tracked", dtype, [], value.tobytes())])
    net.load_weights(path, strict=False)
    assert net.state_dict()["1.num_batches_tracked"] == 9


@pytest.mark.parametrize(("dtype", "value"), [("F32", np.float32(1.5)), ("U64", np.uint64(2**63)), ("I8", np.int8(-1))])
def test_counters_are_whole_numbers(net, path, dtype, value):
    write_raw(path, [("1.num_batches_tracked", dtype, [], value.tobytes())])
    with pytest.raises(InvalidArgumentError, match="num_batches_tracked"):
        net.load_weights(path, strict=False)


def test_numbers_beyond_float32_are_refused(net, path):
    before = net.state_dict()
    write_raw(path, [("0.bias", "F64", [5], np.array([1, 2, 1e300, 4, 5.0]).tobytes())])
    with pytest.raises(InvalidArgumentError, match=r'"0\.bias" holds 1e\+300 at element 2'):
        net.load_weights(path, strict=False)
    assert np.array_equal(net.state_dict()["0.bias"], before["0.bias"])


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("zip", b"PK\x03\x04" + b"\x08" * 400),
        ("HDF5", b"\x89HDF\r\n\x1a\n" + b"\0" * 400),
        ("JSON", b'{"metadata": {}, "weight_map": {"0.weight": "a-00001-of-00002.safetensors"}}'),
        ("pickle", pickle.dumps({"weight": 1.5}, protocol=4)),
        ("gzip", b"\x1f\x8b\x08\0\1\2\3\4" + b"\0" * 99),
        ("GGUF", b"GGUF\3\0\0\0" + b"\1" * 99),
    ],
)
def test_other_formats_are_named(net, path, name, contents):
    path.write_bytes(contents)
    for call in (martlet.load, net.load_weights):
        with pytest.raises(martlet.UnsupportedError, match=name):
            call(path)


@pytest.mark.parametrize("name", ["model.h5", "model.keras", "model.PT", "model.npz", "model.onnx"])
def test_a_model_is_not_written_under_the_name_of_another_format(net, tmp_path, name):
    with pytest.raises(InvalidArgumentError, match="safetensors"):
        net.save(tmp_path / name)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("value", [b"\0" * 1_000_000, "x\0" + "y" * 1_000_000, b"{" * 1_000_000, [0] * 1_000_000])
def test_messages_do_not_hold_the_argument(value):
    with pytest.raises(InvalidArgumentError) as caught:
        martlet.load(value)
    assert len(str(caught.value)) < 500


def test_savers_that_were_killed_leave_nothing_for_ever(net, tmp_path):
    program = (
        "import sys, martlet\n"
        "net = martlet.Sequential([martlet.Dense(500), martlet.Dense(500)], input_shape=(500,))\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    net.save(sys.argv[1])\n"
    )
    file = tmp_path / "model.safetensors"
    for number in range(6):
        child = subprocess.Popen([sys.executable, "-c", program, str(file)], stdout=subprocess.PIPE)
        assert child.stdout.readline() == b"ready\n"
        time.sleep(0.01 * number)
        child.kill()
        child.wait()
        child.stdout.close()
        # One more, at the most common place to die: the file is there and has no living saver.
        (tmp_path / f".martlet-{number:x}.tmp").write_bytes(b"a part")
    net.save(tmp_path / "other.safetensors")
    assert {path.name for path in tmp_path.iterdir()} <= {"model.safetensors", "other.safetensors"}
