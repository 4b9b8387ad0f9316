"""What is no array of numbers is named: which column, what kind of thing, what to do."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pytest

from martlet import DTypeError, InvalidArgumentError
from martlet._array import as_array


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ((row for row in [[1.0]]), "expected an array; got a generator"),
        (iter([1.0]), "trainer.step"),
        ({1.0, 2.0}, "got a set"),
        ({"a": 1.0}, "got a dict"),
        (None, "got a NoneType"),
        ([1.0, None], r"got None in x\[1\]"),
        ([["a", 1.0]], "got text"),
        (np.array([[1.0, "a"]], object), r"got text in x\[0, 1\] \(column 1\), 'a'"),
        (["a", "b"], "got text .*such as 'a'"),
        (np.array(["2020-01-01"], "M8[D]"), "got dates"),
        ([datetime.date(2020, 1, 1)], "class date"),
        ([decimal.Decimal(1)], "class Decimal"),
        (np.zeros(2, dtype=[("p", "f4"), ("q", "i4")]), "records with the fields p, q"),
        (np.array([np.zeros(2), np.zeros(3)], object), "rows of one length"),
    ],
)
def test_what_came_is_said(value, words):
    with pytest.raises(DTypeError, match="^x: .*" + words):
        as_array(value, "x")


def test_lists_of_several_lengths():
    with pytest.raises(InvalidArgumentError, match="rows of one length; got lengths from 1 to 3"):
        as_array([[1.0], [1.0, 2.0, 3.0]], "x")


def test_sparse_matrices():
    sparse = pytest.importorskip("scipy.sparse", reason="an extra: scipy is not installed")
    for value in (sparse.csr_matrix(np.eye(3)), sparse.coo_matrix(np.eye(3))):
        with pytest.raises(DTypeError, match=r"sparse .*_matrix of scipy\. Give x\.toarray\(\)"):
            as_array(value, "x")


def test_pandas_names_the_column():
    pd = pytest.importorskip("pandas", reason="an extra: pandas is not installed")
    numbers = pd.array([1.5, 2.0], dtype="Float32")
    dates = pd.to_datetime(["2020-01-01", "2021-01-01"])
    refused = {
        r"text in column 'city'": pd.DataFrame({"a": [1.0, 2.0], "city": ["x", "y"]}),
        r"dates in column 'when'": pd.DataFrame({"a": [1.0, 2.0], "when": dates}),
        r"text in column 'kind' \(category\)": pd.DataFrame({"a": [1, 2], "kind": pd.Categorical(["u", "v"])}),
        r"missing value in column 'b' \(Int64\), row 1": pd.DataFrame({"a": numbers, "b": pd.array([1, None], dtype="Int64")}),
        r"text in column 'q'": pd.Series(["a", "b"], name="q"),
    }
    for words, value in refused.items():
        with pytest.raises(DTypeError, match="x: .*" + words):
            as_array(value, "x")
    whole = pd.DataFrame({"a": numbers, "b": pd.array([1, 2], dtype="Int64"), "c": pd.array([True, False], dtype="boolean")})
    np.testing.assert_array_equal(as_array(whole, "x"), [[1.5, 1, 1], [2, 2, 0]])
    series = as_array(pd.Series(pd.array([3, 4], dtype="Int64")), "x")
    assert (series.dtype, series.tolist()) == (np.int64, [3, 4])


def test_polars_names_the_column():
    pl = pytest.importorskip("polars", reason="an extra: polars is not installed")
    with pytest.raises(DTypeError, match=r"x: .*text in column 'city' \(String\)"):
        as_array(pl.DataFrame({"a": [1, 2], "city": ["x", "y"]}), "x")
    np.testing.assert_array_equal(as_array(pl.DataFrame({"a": [1, 2], "b": [0.5, 1]}), "x"), [[1, 0.5], [2, 1]])


def test_tensors_that_numpy_cannot_read():
    torch = pytest.importorskip("torch", reason="the peer: PyTorch is not installed")
    with pytest.raises(InvalidArgumentError, match=r"x: .*Give x\.detach\(\)\.cpu\(\)"):
        as_array(torch.ones(2, requires_grad=True), "x")
