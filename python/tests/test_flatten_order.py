"""Flattened images: channels last here, channels first in PyTorch. The shapes agree, so only the order can go wrong."""

from __future__ import annotations

import numpy as np
import pytest

import martlet
from martlet import BatchNorm, Conv2D, Dense, Flatten, GlobalAvgPool2D, LayerNorm, ReLU, Sequential


def images():
    layers = [Conv2D(3, 3, name="c"), ReLU(), Flatten(), BatchNorm(name="n"), LayerNorm(name="l"), Dense(2, name="d")]
    return Sequential(layers, input_shape=(5, 4, 2), seed=1)


def channels_first(value, shape):
    """Values of a flattened image, the last axis, as PyTorch has them."""
    apart = value.reshape(*value.shape[:-1], *shape)
    return np.moveaxis(apart, -1, -len(shape)).reshape(value.shape)


def test_tensors_are_put_in_the_other_order_and_back():
    net = images()
    own, theirs = net.state_dict(), net.state_dict(flatten_order="channels_first")
    assert list(own) == list(theirs)
    for name, value in own.items():
        follows = name.split(".")[0] in "nld" and value.ndim and name != "d.bias"
        want = channels_first(value, (3, 2, 3)) if follows else value
        np.testing.assert_array_equal(theirs[name], want)
        assert not follows or value.max() == value.min() or not np.array_equal(want, value)
    other = images()
    other.load_state_dict({name: np.zeros_like(value) for name, value in own.items()})
    given = {name: value.astype(np.float64) for name, value in theirs.items()}
    other.load_state_dict(given, flatten_order="channels_first")
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(value, own[name])
    for name, value in given.items():  # the caller's arrays are not touched
        np.testing.assert_array_equal(value, theirs[name])
    other.load_state_dict(own, flatten_order="channels_last")
    np.testing.assert_array_equal(other.state_dict()["d.weight"], own["d.weight"])


def test_a_norm_over_whole_images_has_tensors_of_another_shape():
    net = Sequential([LayerNorm(over="all", name="l")], input_shape=(3, 2, 4))
    weight = np.arange(24.0).reshape(4, 3, 2)
    net.load_state_dict({"l.weight": weight, "l.bias": np.zeros((4, 3, 2))}, flatten_order="channels_first")
    np.testing.assert_array_equal(net.state_dict()["l.weight"], np.moveaxis(weight, 0, -1))
    np.testing.assert_array_equal(net.state_dict(flatten_order="channels_first")["l.weight"], weight)
    with pytest.raises(martlet.ShapeError, match=r"expected the shape \[4, 3, 2\]"):
        net.load_state_dict(net.state_dict(), flatten_order="channels_first")


def test_where_the_orders_agree_nothing_moves():
    for shape, layers in (
        ((5, 4, 2), [GlobalAvgPool2D(), Dense(3)]),
        ((5, 4, 1), [Flatten(), Dense(3)]),
        ((1, 1, 6), [Flatten(), Dense(3)]),
        ((5, 4, 2), [martlet.ChannelsFirst(), Flatten(), Dense(3)]),
        ((6,), [Dense(6), BatchNorm(), Dense(3)]),
    ):
        net = Sequential(layers, input_shape=shape)
        own, theirs = net.state_dict(), net.state_dict(flatten_order="channels_first")
        for name, value in own.items():
            np.testing.assert_array_equal(theirs[name], value)


def test_what_cannot_be_known_is_refused_by_layer():
    net = images()
    before = net.state_dict()
    with pytest.raises(martlet.InvalidArgumentError, match="flatten_order must be one of"):
        net.load_state_dict(before, flatten_order="rows")
    with pytest.raises(martlet.ShapeError, match=r"d\.weight"):
        net.load_state_dict({**before, "d.weight": np.zeros((2, 17))}, flatten_order="channels_first")
    grouped = Sequential([Flatten(), martlet.GroupNorm(3, name="g"), Dense(2)], input_shape=(2, 2, 3))
    with pytest.raises(martlet.InvalidArgumentError, match=r'layer "g" .* groups of neighbouring values'):
        grouped.state_dict(flatten_order="channels_first")
    x = martlet.Input((2, 2, 3))
    shared = Dense(2, name="shared")
    y = martlet.Add()([shared(Flatten()(x)), shared(Flatten()(martlet.ChannelsFirst()(x)))])
    with pytest.raises(martlet.InvalidArgumentError, match=r'layer "shared" .* several places'):
        martlet.Model(x, y).state_dict(flatten_order="channels_first")
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_tensors_of_pytorch_are_refused_where_it_matters():
    torch = pytest.importorskip("torch", reason="the peer: PyTorch is not installed")
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(18, 2))
    net = Sequential([Conv2D(3, 3), ReLU(), Flatten(), Dense(2)], input_shape=(5, 4, 2))
    before = net.state_dict()
    with pytest.raises(
        martlet.InvalidArgumentError, match=r'layer "3" \(dense\) reads a flattened image \[3, 2, 3\]'
    ) as caught:
        net.load_state_dict(module.state_dict())
    assert "channels_first" in str(caught.value)
    np.testing.assert_array_equal(net.state_dict()["0.weight"], before["0.weight"])
    x = torch.randn(7, 2, 5, 4)
    want = module(x).detach().numpy()
    net.load_state_dict(module.state_dict(), flatten_order="channels_first")
    np.testing.assert_allclose(net(np.moveaxis(x.numpy(), 1, -1)), want, rtol=1e-5, atol=1e-6)
    # Back, with the numbers changed in between.
    module.load_state_dict({key: torch.zeros_like(value) for key, value in module.state_dict().items()})
    module.load_state_dict({k: torch.from_numpy(v) for k, v in net.state_dict(flatten_order="channels_first").items()})
    np.testing.assert_allclose(module(x).detach().numpy(), want, rtol=1e-5, atol=1e-6)
    # Elsewhere PyTorch's tensors are taken as they are.
    average = Sequential([Conv2D(3, 3), GlobalAvgPool2D(), Dense(2, name="3")], input_shape=(5, 4, 2))
    state = {**module.state_dict(), "3.weight": torch.ones(2, 3)}
    average.load_state_dict(state)
    # The arrays that NumPy makes of them cannot be told from others.
    net.load_state_dict({key: value.numpy() for key, value in module.state_dict().items()})
    assert np.abs(net(np.moveaxis(x.numpy(), 1, -1)) - want).max() > 0.05


def foreign(path, tensors):
    """A safetensors file of another library."""
    import json
    import struct

    header, body = {}, b""
    for name, value in tensors.items():
        array = np.ascontiguousarray(value)
        kind = {"float32": "F32", "float64": "F64", "int64": "I64"}[array.dtype.name]
        begin, body = len(body), body + array.tobytes()
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [begin, len(body)]}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def test_files_of_others_say_their_order(tmp_path):
    net, other = images(), images()
    other.load_state_dict({name: np.zeros_like(value) for name, value in net.state_dict().items()})
    before = other.state_dict()
    path = foreign(tmp_path / "theirs.safetensors", net.state_dict(flatten_order="channels_first"))
    for strict in (True, False):
        with pytest.raises(martlet.InvalidArgumentError, match=r'layer "n" .*flattened image .*channels_first') as caught:
            other.load_weights(path, strict)
        assert str(path) in str(caught.value)
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    other.load_weights(path, flatten_order="channels_first")
    for name, value in other.state_dict().items():
        np.testing.assert_array_equal(value, net.state_dict()[name])
    own = foreign(tmp_path / "own.safetensors", net.state_dict())
    other.load_weights(own, flatten_order="channels_last")
    np.testing.assert_array_equal(other.state_dict()["d.weight"], net.state_dict()["d.weight"])
    # A file without the tensors that follow has no order to state; nor has Martlet's own.
    other.load_weights(foreign(tmp_path / "part.safetensors", {"c.weight": np.zeros((3, 2, 3, 3))}), strict=False)
    net.save(tmp_path / "net.safetensors")
    other.load_weights(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(other.state_dict()["d.weight"], net.state_dict()["d.weight"])
    with pytest.raises(martlet.InvalidArgumentError, match="flatten_order must be one of"):
        other.load_weights(path, flatten_order="last")


def test_a_norm_over_whole_images_from_a_file(tmp_path):
    net = Sequential([LayerNorm(over="all", shift=False, name="l")], input_shape=(3, 2, 4))
    weight = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    path = foreign(tmp_path / "theirs.safetensors", {"l.weight": weight})
    net.load_weights(path, flatten_order="channels_first")
    np.testing.assert_array_equal(net.state_dict()["l.weight"], np.moveaxis(weight, 0, -1))
    with pytest.raises(martlet.ShapeError, match=r"\[3, 2, 4\]"):
        net.load_weights(path, flatten_order="channels_last")
