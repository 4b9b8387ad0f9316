"""Arrays in: in place where they can be, converted where not, refused where numbers would be lost."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

import martlet
from martlet import DTypeError, InvalidArgumentError, ShapeError, _abi
from martlet._array import Described, as_array, describe_all, described_output, reference, rows_of, view


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint8"])
def test_the_librarys_dtypes_pass_in_place(dtype):
    x = np.arange(6, dtype=dtype).reshape(2, 3)
    assert as_array(x, "x") is x
    strided = x.T[::-1]
    assert np.shares_memory(as_array(strided, "x"), x)


@pytest.mark.parametrize(
    "dtype", ["bool", "float16", "int8", "int16", "uint16", "uint32", "uint64", "longdouble", ">f4", ">i8"]
)
def test_other_real_dtypes_are_converted_without_loss(dtype):
    x = np.array([0, 1, 1], dtype)
    converted = as_array(x, "x")
    assert converted.dtype.name in ("float32", "float64", "int32", "int64", "uint8")
    assert converted.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    "value",
    [
        np.array([1j]),
        np.array(["1"]),
        np.array([b"1"]),
        np.array([None]),
        np.array([object()]),
        np.array(["2020-01-01"], "datetime64[D]"),
        np.array([(1, 2)], "i4,i4"),
        np.ma.masked_array([1.0, 2.0], [True, False]),
        np.array([2**64 - 1], np.uint64),
    ],
)
def test_what_holds_no_real_numbers_is_refused_by_name(value):
    with pytest.raises(DTypeError, match=r"^inputs[ :]") as caught:
        as_array(value, "inputs")
    assert isinstance(caught.value, TypeError)


def test_ragged_lists_are_refused():
    with pytest.raises(InvalidArgumentError, match="x: expected rows of one length; got lengths from 1 to 2"):
        as_array([[1.0], [1.0, 2.0]], "x")


def test_strides_reach_the_library_in_elements(rng):
    base = rng.normal(size=(6, 8)).astype(np.float32)
    for x in (base[::2, ::-3], base.T, base[:, None, :].squeeze(1), np.broadcast_to(base[0], (4, 8)), np.asfortranarray(base)):
        assert np.array_equal(martlet.Tensor(x).numpy(), x)


def test_bytes_that_are_no_whole_elements_apart_are_copied():
    packed = np.zeros(3, dtype=[("tag", "u1"), ("value", "<f4")])
    packed["value"] = [1, 2, 3]
    assert martlet.Tensor(packed["value"]).numpy().tolist() == [1, 2, 3]
    unaligned = np.frombuffer(b"\0" + np.array([1, 2], np.float32).tobytes(), np.float32, offset=1)
    assert martlet.Tensor(unaligned).numpy().tolist() == [1, 2]


def struct_of(array):
    """What the library is handed: a struct, or the same as bytes."""
    handed = reference(array)
    return _abi.martlet_array.from_buffer_copy(handed) if isinstance(handed, bytes) else handed._obj


def test_contiguous_arrays_have_no_strides_and_empty_ones_no_data():
    array = np.zeros((2, 3), np.float32)
    for _ in range(2):  # at first, and as a form that was seen
        struct = struct_of(array)
        assert not struct.strides
        assert (struct.rank, struct.dtype, struct.shape[:2]) == (2, _abi.FLOAT32, [2, 3])
        assert struct.data == array.ctypes.data
    assert struct_of(np.zeros((0, 3), np.float32)).data is None


def test_forms_are_told_apart():
    shape = (5, 3)
    read_only = np.zeros(shape, np.float32)
    read_only.flags.writeable = False
    every_other = np.zeros((10, 3), np.float32)[::2]
    for array in (
        *(np.zeros(shape, np.float32), np.zeros(shape), np.zeros(shape, np.float32, order="F"), np.zeros((3, 5)).T),
        *(read_only, every_other),
    ):
        for _ in range(2):
            struct = struct_of(array)
            assert struct.dtype == (_abi.FLOAT32 if array.itemsize == 4 else _abi.FLOAT64)
            strides = [stride // array.itemsize for stride in array.strides]
            assert struct.strides[:2] == strides if struct.strides else array.flags.c_contiguous
            assert struct.data == array.ctypes.data
            assert struct.shape[:2] == list(shape)


def test_more_shapes_than_are_kept(monkeypatch):
    monkeypatch.setattr("martlet._array._Extents.MOST", 0)
    for length in range(1000, 1010):
        array = np.ones((1, length, 1), np.float32)
        assert martlet.Tensor(array).shape == array.shape


def test_several_inputs_are_a_list_of_that_many():
    assert len(describe_all([[1.0], [2.0]], 2, "x")) == 2
    with pytest.raises(InvalidArgumentError, match="x must be a list of 2 arrays; got 3"):
        describe_all([[1.0]] * 3, 2, "x")
    with pytest.raises(InvalidArgumentError, match="x must be a list of 2 arrays; got a ndarray"):
        describe_all(np.zeros((2, 2)), 2, "x")


def test_rows_need_an_axis():
    with pytest.raises(ShapeError, match="x has shape"):
        rows_of(Described([np.array(3, np.float32)]), "x")


def test_a_view_is_the_memory_itself():
    memory = np.arange(12, dtype=np.float32).reshape(3, 4)
    struct = _abi.martlet_view(data=memory.ctypes.data, rank=2, dtype=_abi.FLOAT32)
    struct.shape[:2] = (4, 3)
    struct.strides[:2] = (1, 4)
    seen = view(struct, memory)
    assert np.array_equal(seen, memory.T)
    seen[0, 1] = 99
    assert memory[1, 0] == 99
    assert seen.base.owner is memory


@pytest.mark.parametrize(
    "out", [np.zeros((2, 3)), np.zeros((3, 2), np.float32).T, [[0.0] * 3] * 2, np.broadcast_to(np.float32(0), (2, 3))]
)
def test_an_output_must_be_writable_contiguous_float32(out):
    with pytest.raises(InvalidArgumentError, match="out must be"):
        described_output((2, 3), out)
    with pytest.raises(ShapeError, match=r"out has shape \[3, 2\]; expected \[2, 3\]"):
        described_output((2, 3), np.zeros((3, 2), np.float32))


class Lying(np.ndarray):
    """Says of itself whatever it is told to."""

    lie: ClassVar[dict] = {}

    def __getattribute__(self, name):
        lie = type(self).lie
        return lie[name] if name in lie else super().__getattribute__(name)


@pytest.mark.parametrize(
    "lie", [{"shape": (1000, 3)}, {"dtype": np.dtype(np.float32)}, {"flags": np.zeros(3).flags}, {"strides": (12, 4)}]
)
def test_a_subclass_is_not_believed(monkeypatch, lie):
    """Its memory is described by NumPy, not by its own properties."""
    net = martlet.Sequential([martlet.Dense(3)], input_shape=(2,))
    x = np.ones((1000, 2), np.float32)
    small = np.zeros((1, 3), np.float32).view(Lying)
    monkeypatch.setattr(Lying, "lie", {"shape": (1000, 3), "dtype": np.dtype(np.float32), "flags": np.zeros(3).flags, **lie})
    assert small.shape == (1000, 3)
    for call in (
        lambda: net.predict(x, out=small),
        lambda: martlet.batch_norm(np.ones((1000, 3)), out=small),
        lambda: martlet.matmul(np.ones((1000, 3)), np.eye(3), out=small),
    ):
        with pytest.raises((InvalidArgumentError, ShapeError)):
            call()
    # As an input it is what NumPy says it is, too.
    with pytest.raises(ShapeError):
        martlet.Trainer(net, "mse").step(x, small)


def test_an_output_of_a_subclass_is_written(tmp_path):
    net = martlet.Sequential([martlet.Dense(3)], input_shape=(2,))
    x = np.ones((4, 2), np.float32)
    file = np.memmap(tmp_path / "out", np.float32, "w+", shape=(4, 3))
    result = net.predict(x, out=file)
    assert type(result) is np.ndarray
    assert np.shares_memory(result, file)
    assert np.array_equal(file, net.predict(x))


def test_an_output_is_no_masked_array():
    with pytest.raises(DTypeError, match="out is a masked array"):
        described_output((2, 3), np.ma.zeros((2, 3), np.float32))
