"""Plain arguments: what ctypes would cut to size or stop short is refused."""

from __future__ import annotations

import numpy as np
import pytest

from martlet import InvalidArgumentError
from martlet import _arguments as arguments


@pytest.mark.parametrize("value", [0, 5, np.int8(3), np.uint64(9)])
def test_integer_takes_whole_numbers(value):
    assert arguments.integer(value, "n") == int(value)


@pytest.mark.parametrize("value", [1.0, "1", None, True, np.float32(1), [1], 2**63, -1])
def test_integer_refuses(value):
    with pytest.raises(InvalidArgumentError, match=r"^n must be"):
        arguments.integer(value, "n")


@pytest.mark.parametrize("value", ["0.5", b"1", None, [1.0, 2.0], 1j, 10**400])
def test_real_refuses(value):
    with pytest.raises(InvalidArgumentError, match=r"^rate must be a number"):
        arguments.real(value, "rate")


@pytest.mark.parametrize(("value", "expected"), [(True, 1), (0, 0), (np.bool_(True), 1)])
def test_flag(value, expected):
    assert arguments.flag(value, "f") == expected


@pytest.mark.parametrize("value", [2, None, "yes", 1.0, np.array([True])])
def test_flag_refuses(value):
    with pytest.raises(InvalidArgumentError, match="f must be True or False"):
        arguments.flag(value, "f")


@pytest.mark.parametrize("value", [b"x", 3, "a\0b", "\ud800"])
def test_text_refuses(value):
    with pytest.raises(InvalidArgumentError, match="name must"):
        arguments.text(value, "name")


@pytest.mark.parametrize("value", [3, None, "a\0b"])
def test_file_path_refuses(value):
    with pytest.raises(InvalidArgumentError, match="path must"):
        arguments.file_path(value)


def test_shape_takes_one_number_or_several():
    assert tuple(arguments.shape(3)) == (3,)
    assert tuple(arguments.shape([2, np.int64(3)])) == (2, 3)
    assert tuple(arguments.shape(())) == ()
    with pytest.raises(InvalidArgumentError, match=r"shape\[1\]"):
        arguments.shape((2, -1))
