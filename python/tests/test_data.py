"""Data sets: the IDX reader, whole and broken files, the stand-in."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from martlet import CorruptFileError, FileError, InvalidArgumentError, data


def idx(array, code=0x08):
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Fashion-MNIST in small: five images to train on, gzipped, and three to test, plain."""
    rng = np.random.default_rng(0)
    for part, rows in (("train", 5), ("t10k", 3)):
        images = idx(rng.integers(0, 256, (rows, 4, 4), np.uint8))
        labels = idx(np.arange(rows, dtype=np.uint8))
        for name, contents in (("images-idx3", images), ("labels-idx1", labels)):
            path = tmp_path / f"{part}-{name}-ubyte"
            if part == "train":
                path = path.with_name(path.name + ".gz")
                contents = gzip.compress(contents)
            path.write_bytes(contents)
    monkeypatch.setenv("MARTLET_DATA", str(tmp_path))
    return tmp_path


def test_the_folder_of_the_environment_is_read(folder):
    found = data.load()
    assert found.name == "Fashion-MNIST"
    assert (found.train_x.shape, found.test_x.shape) == ((5, 16), (3, 16))
    assert found.train_x.dtype == np.float32
    assert 0 <= found.train_x.min() <= found.train_x.max() <= 1
    assert found.test_y.tolist() == [0, 1, 2]
    assert found.classes == 5
    assert repr(found) == "Dataset('Fashion-MNIST', 5 rows to train on, 3 to test)"


def test_missing_files_are_named(folder):
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileError, match=r"no .*t10k-labels-idx1-ubyte or .*MARTLET_DATA"):
        data.load("fashion-mnist")


def test_the_digits_stand_in(tmp_path, monkeypatch):
    monkeypatch.setenv("MARTLET_DATA", str(tmp_path))
    pytest.importorskip("sklearn", reason="an extra: the digits come with scikit-learn")
    found = data.load()
    assert found.name == "scikit-learn digits"
    assert (len(found.train_x), len(found.test_x), found.classes) == (1437, 360, 10)
    assert found.train_x.max() == 1


def test_images_and_labels_must_agree(folder):
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(9, np.uint8)))
    with pytest.raises(CorruptFileError, match="t10k has images of shape"):
        data.fashion_mnist(folder)


def test_unknown_names():
    with pytest.raises(InvalidArgumentError, match="name must be"):
        data.load("mnist")


@pytest.mark.parametrize(("dtype", "code"), [(">u1", 8), (">i1", 9), (">i2", 11), (">i4", 12), (">f4", 13), (">f8", 14)])
def test_every_dtype_of_the_format(tmp_path, dtype, code):
    array = np.arange(6, dtype=dtype).reshape(2, 3)
    path = tmp_path / "file"
    path.write_bytes(idx(array, code))
    found = data.read_idx(path)
    assert found.dtype.isnative
    assert np.array_equal(found, array)


WHOLE = idx(np.zeros((2, 3), np.uint8))


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        (b"", "starts with nothing"),
        (b"\0\0\x08", "not an IDX file"),
        (b"hello, world", "not an IDX file"),
        (b"\0\0\x07\x01" + b"\0" * 8, "not an IDX file"),
        (WHOLE[:7], "ends inside its header"),
        (WHOLE[:-1], "fewer bytes"),
        (WHOLE + b"\0", "more bytes"),
        (b"\0\0\x08\x02" + b"\xff" * 8, "at most"),
        (b"\0\0\x08\xff" + b"\xff" * 1020, "at most"),
        (gzip.compress(WHOLE)[:-9], "not a whole gzip"),
        (b"\x1f\x8bxxxxxxxxxxxxxxxxx", "gzip"),
    ],
)
def test_broken_files(tmp_path, contents, words):
    path = tmp_path / "broken"
    path.write_bytes(contents)
    with pytest.raises(CorruptFileError, match=words):
        data.read_idx(path)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(FileError, match="cannot read"):
        data.read_idx(tmp_path / "absent")
