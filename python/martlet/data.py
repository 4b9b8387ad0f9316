"""Data sets for examples and comparisons.

Fashion-MNIST is read from ``$MARTLET_DATA``, or from where Debian's ``dataset-fashion-mnist`` puts it; scikit-learn's 8×8
digits stand in where neither is there.
"""

from __future__ import annotations

import gzip
import os
import struct
from typing import NamedTuple

import numpy as np

from . import _arguments
from ._array import Array
from ._errors import CorruptFileError, FileError, InvalidArgumentError

DEBIAN_FOLDER = "/usr/share/datasets/fashion-mnist"
_IDX_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
#: Refuses headers that promise more than this (Fashion-MNIST's largest file holds 47 MB).
_MOST_BYTES = 1 << 31


class Dataset(NamedTuple):
    """Images as rows of float32 in 0 … 1, labels as int64."""

    name: str
    train_x: Array
    train_y: Array
    test_x: Array
    test_y: Array

    @property
    def classes(self) -> int:
        """How many classes the labels name."""
        return int(max(self.train_y.max(), self.test_y.max())) + 1

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {len(self.train_x)} rows to train on, {len(self.test_x)} to test)"


def read_idx(path: str | os.PathLike[str]) -> Array:
    """Reads an IDX file (the MNIST family's format), gzipped or not.

    Raises
    ------
    FileError
        It cannot be read.
    CorruptFileError
        It is not a whole IDX file.
    """
    try:
        with open(path, "rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if zipped else open(path, "rb") as file:
            return _parse_idx(file, os.fspath(path))
    except (gzip.BadGzipFile, EOFError) as error:
        raise CorruptFileError(f"{os.fspath(path)} is not a whole gzip file: {error}") from None
    except OSError as error:
        raise FileError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from None


def _parse_idx(file: object, path: str) -> Array:
    read = file.read  # type: ignore[attr-defined]
    head = read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _IDX_DTYPES:
        raise CorruptFileError(f"{path} is not an IDX file: it starts with {head.hex(' ') or 'nothing'}")
    rank = head[3]
    extents = read(4 * rank)
    if len(extents) < 4 * rank:
        raise CorruptFileError(f"{path} ends inside its header")
    shape = struct.unpack(f">{rank}I", extents)
    dtype = np.dtype(_IDX_DTYPES[head[2]])
    size = dtype.itemsize
    for dimension in shape:
        size *= dimension
    if size > _MOST_BYTES:
        raise CorruptFileError(f"{path} claims shape {list(shape)}, {size} bytes; at most {_MOST_BYTES} are read")
    contents = read(size + 1)
    if len(contents) != size:
        state = "fewer" if len(contents) < size else "more"
        raise CorruptFileError(f"{path} holds {state} bytes than its shape {list(shape)} needs ({size})")
    array = np.frombuffer(contents, dtype).reshape(shape)
    return array.astype(dtype.newbyteorder("="))


def fashion_mnist(folder: str | os.PathLike[str] | None = None) -> Dataset:
    """Fashion-MNIST: 60,000 images to train on and 10,000 to test, 28×28, ten classes.

    Parameters
    ----------
    folder : path, optional
        Where its four IDX files are; else ``$MARTLET_DATA``, else where Debian puts them.

    Raises
    ------
    FileError
        A file is missing; the message says where it was looked for.
    """
    place = os.fspath(folder or os.environ.get("MARTLET_DATA") or DEBIAN_FOLDER)
    parts = {}
    for part in ("train", "t10k"):
        images = read_idx(_find(place, f"{part}-images-idx3-ubyte"))
        labels = read_idx(_find(place, f"{part}-labels-idx1-ubyte"))
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise CorruptFileError(
                f"{place}: {part} has images of shape {list(images.shape)} and labels of shape {list(labels.shape)}"
            )
        rows = images.reshape(len(images), -1).astype(np.float32)
        rows /= np.float32(255)
        parts[part] = rows, labels.astype(np.int64)
    return Dataset("Fashion-MNIST", *parts["train"], *parts["t10k"])


def _find(folder: str, name: str) -> str:
    tried = [os.path.join(folder, name + ending) for ending in ("", ".gz")]
    for path in tried:
        if os.path.isfile(path):
            return path
    raise FileError(
        f"Fashion-MNIST was not found: no {' or '.join(tried)}. On Debian: apt-get install dataset-fashion-mnist; "
        "elsewhere set MARTLET_DATA to the folder of its four files."
    )


def digits() -> Dataset:
    """Scikit-learn's digits: 8×8 images, ten classes; the first 1,437 to train on, the last 360 to test."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise FileError("the digits come with scikit-learn, which is not installed: pip install scikit-learn") from None
    found = load_digits()
    rows = found.data.astype(np.float32) / np.float32(16)
    labels = found.target.astype(np.int64)
    return Dataset("scikit-learn digits", rows[:1437], labels[:1437], rows[1437:], labels[1437:])


def load(name: str = "auto") -> Dataset:
    """``"fashion-mnist"``, ``"digits"``, or ``"auto"``: the first if it is there, else the second."""
    if name == "fashion-mnist":
        return fashion_mnist()
    if name == "digits":
        return digits()
    if name != "auto":
        raise InvalidArgumentError(f"name must be 'auto', 'fashion-mnist' or 'digits'; got {_arguments.shown(name)}")
    try:
        return fashion_mnist()
    except FileError as missing:
        try:
            return digits()
        except FileError as also:
            raise FileError(f"{missing} Nor is there a stand-in: {also}") from None
