"""The `.golden` text format: one named tensor per record. README.md beside this file describes it.

Standard library only, so that any test can read the files with `read`.
"""

import re

DTYPES = ("float32", "float64", "int64")


def hex_float(value):
    """C99 hexadecimal floating point without trailing zeros: exact, and as short as the value allows."""
    return re.sub(r"\.?0*p", "p", float(value).hex()) if value == value else "nan"


class Writer:
    """Gathers records and writes them at once, so that a failing script leaves the old file."""

    def __init__(self, title):
        self.lines = [f"# {line}" for line in title.strip().splitlines()]
        self.names = set()

    def comment(self, text):
        self.lines.append(f"# {text}")

    def add(self, name, dtype, shape, values):
        """`values`: flat, in row-major order; float32 values must be representable as such."""
        assert dtype in DTYPES, name
        assert name not in self.names, name
        assert " " not in name, name
        self.names.add(name)
        self.lines.append(" ".join([name, dtype, str(len(shape)), *map(str, shape)]))
        texts = [str(int(v)) for v in values] if dtype == "int64" else [hex_float(v) for v in values]
        width = shape[-1] if shape else 1
        assert len(texts) == product(shape), name
        # A line per row of the last axis: a changed row shows as one line in a diff.
        self.lines += [" ".join(texts[i : i + width]) for i in range(0, len(texts), width or 1)]

    def write(self, path):
        with open(path, "w", encoding="ascii") as file:
            file.write("\n".join(self.lines) + "\n")


def read(path):
    """{name: (dtype, shape, [values])}, in the file's order."""
    records = {}
    with open(path, encoding="ascii") as file:
        words = iter([word for line in file if not line.startswith("#") for word in line.split()])
    for name in words:
        dtype, rank = next(words), int(next(words))
        shape = tuple(int(next(words)) for _ in range(rank))
        convert = int if dtype == "int64" else float.fromhex
        records[name] = (dtype, shape, [convert(next(words)) for _ in range(product(shape))])
    return records


def product(shape):
    result = 1
    for dimension in shape:
        result *= dimension
    return result
