"""Tensors."""

from __future__ import annotations

import numpy as np
import pytest

import martlet
from martlet import InvalidArgumentError, MartletError, ShapeError, Tensor, matmul


def test_numpy_is_the_memory_itself_and_outlives_the_handle():
    tensor = Tensor(np.arange(6).reshape(2, 3))
    seen = tensor.numpy()
    assert seen.dtype == np.float32
    seen[1, 2] = 50
    assert tensor[1, 2] == 50
    tensor[0, -1] = 7
    assert seen[0, 2] == 7
    tensor.close()
    del tensor
    assert seen.tolist() == [[0, 1, 7], [3, 4, 50]]


def test_array_protocol():
    tensor = Tensor([1.0, 2.0])
    assert np.shares_memory(np.asarray(tensor), tensor.numpy())
    assert np.asarray(tensor, dtype=np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(tensor), tensor.numpy())
    assert (np.float32([1, 1]) + tensor).numpy().tolist() == [2, 3]


def test_binary_operators(rng):
    a, b = rng.normal(size=(2, 4, 3)).astype(np.float32)
    row = b[0]
    for x, y in ((a, b), (a, row), (row, a), (a, np.float32(2)), (a, np.float32([[2.0]]))):
        s, t = Tensor(x), Tensor(y)
        assert np.array_equal((s + t).numpy(), x + y)
        assert np.array_equal((s - t).numpy(), x - y)
        assert np.array_equal((s * t).numpy(), x * y)
        assert np.allclose((s / t).numpy(), x / y, rtol=1e-6)
        assert np.array_equal(s.maximum(t).numpy(), np.maximum(x, y))
        assert np.array_equal(s.minimum(t).numpy(), np.minimum(x, y))
    assert np.array_equal((1 - Tensor(a)).numpy(), 1 - a)
    assert np.allclose((1 / Tensor(a)).numpy(), 1 / a, rtol=1e-6)
    assert np.array_equal((2 * Tensor(a) + 1).numpy(), 2 * a + 1)


def test_unary_and_activations(rng):
    x = rng.uniform(0.5, 2, size=(3, 4)).astype(np.float32)
    t = Tensor(x)
    for found, expected in (
        (-t, -x),
        (abs(-t), x),
        (t.square(), x * x),
        (t.sqrt(), np.sqrt(x)),
        (t.exp(), np.exp(x)),
        (t.log(), np.log(x)),
        (t.sigmoid(), 1 / (1 + np.exp(-x))),
        (t.tanh(), np.tanh(x)),
        ((t - 1).relu(), np.maximum(x - 1, 0)),
        (t.softmax(), np.exp(x) / np.exp(x).sum(1, keepdims=True)),
    ):
        assert np.allclose(found.numpy(), expected, rtol=2e-6, atol=1e-7)


def test_matmul(rng):
    a, b = rng.normal(size=(3, 4)).astype(np.float32), rng.normal(size=(4, 5)).astype(np.float32)
    expected = a @ b
    assert np.allclose((Tensor(a) @ Tensor(b)).numpy(), expected, atol=1e-6)
    assert np.allclose((Tensor(a) @ b).numpy(), expected, atol=1e-6)
    assert np.allclose((a @ Tensor(b)).numpy(), expected, atol=1e-6)
    transposed = Tensor(a.T).matmul(b.T, transpose_a=True, transpose_b=True)
    assert np.allclose(transposed.numpy(), expected, atol=1e-6)
    with pytest.raises(ShapeError):
        Tensor(a) @ Tensor(a)


@pytest.mark.parametrize("transposed_a", [False, True])
@pytest.mark.parametrize("transposed_b", [False, True])
def test_matmul_of_arrays(rng, transposed_a, transposed_b):
    for m, k, n in ((3, 4, 5), (60, 784, 100), (1, 7, 1), (17, 1, 9)):
        a, b = rng.normal(size=(m, k)).astype(np.float32), rng.normal(size=(k, n)).astype(np.float32)
        expected = a.astype(np.float64) @ b
        mine, others = (np.asfortranarray(a) if transposed_a else a), (np.asfortranarray(b) if transposed_b else b)
        out = np.full((m, n), np.nan, np.float32)
        assert matmul(mine, others, out=out) is out
        assert np.allclose(out, expected, atol=1e-6 * k)
        assert np.array_equal(out, (Tensor(a) @ Tensor(b)).numpy())  # every layout has the same bits


def test_matmul_of_other_arrays(rng):
    a, b = rng.normal(size=(6, 8)), rng.integers(-5, 5, size=(8, 4))
    expected = a.astype(np.float32).astype(np.float64) @ b
    assert np.allclose(matmul(a, b), expected, atol=1e-5)
    assert np.allclose(matmul(a[::-1, ::2], b[::-2]), a[::-1, ::2] @ b[::-2], atol=1e-5)
    whole = rng.normal(size=(20, 30)).astype(np.float32)
    assert np.allclose(matmul(whole[2:8, 5:13], b), whole[2:8, 5:13] @ b, atol=1e-5)  # a part of a larger matrix
    assert np.array_equal(matmul(np.zeros((2, 0)), np.zeros((0, 3))), np.zeros((2, 3)))
    assert matmul(np.zeros((0, 4)), np.zeros((4, 3))).shape == (0, 3)


def test_matmul_of_arrays_refuses():
    a, b = np.ones((3, 4), np.float32), np.ones((4, 2), np.float32)
    with pytest.raises(ShapeError, match="inner dimensions"):
        matmul(a, a)
    with pytest.raises(ShapeError, match="two matrices"):
        matmul(a, np.ones(4))
    with pytest.raises(ShapeError, match=r"out has shape \[2, 3\]"):
        matmul(a, b, out=np.empty((2, 3), np.float32))
    with pytest.raises(InvalidArgumentError, match="float32"):
        matmul(a, b, out=np.empty((3, 2)))
    square = np.ones((4, 4), np.float32)
    with pytest.raises(InvalidArgumentError, match="shares memory"):
        matmul(square, square, out=square)
    assert (square == 1).all()


def test_reductions(rng):
    x = rng.normal(size=(2, 3, 4)).astype(np.float32)
    t = Tensor(x)
    for axis in (None, 0, 1, 2, -1):
        assert np.allclose(t.sum(axis).numpy(), x.sum(axis), atol=1e-5)
        assert np.allclose(t.mean(axis).numpy(), x.mean(axis), atol=1e-6)
        assert np.array_equal(t.max(axis).numpy(), x.max(axis))
        assert np.array_equal(t.min(axis).numpy(), x.min(axis))
    assert t.sum().shape == ()
    assert t.sum().item() == pytest.approx(x.sum(), abs=1e-5)
    with pytest.raises(MartletError):
        t.sum(3)
    with pytest.raises(InvalidArgumentError):
        Tensor(np.zeros((0,))).max()


def test_shape_and_reshape():
    t = Tensor.filled((2, 3), 1.5)
    assert (t.shape, len(t)) == ((2, 3), 2)
    assert (t.numpy() == 1.5).all()
    assert t.reshape((3, 2)).shape == (3, 2)
    assert t.reshape(6).shape == (6,)
    with pytest.raises(ShapeError):
        t.reshape((4, 2))
    with pytest.raises(ShapeError, match="one element"):
        t.item()
    with pytest.raises(ShapeError):
        len(Tensor(3.0))
    assert Tensor(3.0).item() == 3.0
    assert Tensor(np.zeros((0, 3))).numpy().shape == (0, 3)


@pytest.mark.parametrize("index", [(2, 0), (0, 3), (-3, 0), (0,), (0, 0, 0), (0.5, 0), slice(None)])
def test_index_out_of_range(index):
    tensor = Tensor(np.zeros((2, 3)))
    with pytest.raises(MartletError):
        tensor[index]


def test_shapes_too_large_are_refused_before_any_memory_is_taken():
    with pytest.raises(MartletError):
        Tensor.filled((2**40, 2**40), 0.0)
    with pytest.raises(MartletError):
        Tensor.filled([1] * 17, 0.0)


def test_operands_that_are_no_numbers():
    with pytest.raises(InvalidArgumentError):
        Tensor([1.0]) + None
    with pytest.raises(martlet.DTypeError):
        Tensor([1.0]) + np.array([1j])


def test_repr():
    assert repr(Tensor([1.0, 2.5])) == "Tensor([1. , 2.5])"
