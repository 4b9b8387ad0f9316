#!/usr/bin/env python3
"""Writes every `.golden` file of this folder again. Needs PyTorch 2 (the CPU build is enough); README.md says more.

python make_goldens.py           # the files of this folder
python make_goldens.py FOLDER    # elsewhere, to compare
python make_goldens.py --check   # compares what it would write with the files of this folder
"""

import pathlib
import sys
import tempfile

import batch_norm_cases
import image_cases
import layer_cases
import normalization_cases
import training_cases
import variant_cases
from golden_file import read

HERE = pathlib.Path(__file__).resolve().parent
# Float64 leaves this much to the order of its sums, which PyTorch chooses by the processor. Above 2**-27 in size a float32 that
# differs at all differs by more.
ROUNDING = 2.0**-50


def write_all(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for cases in (batch_norm_cases, image_cases, layer_cases, normalization_cases, training_cases):
        cases.write_all(folder)
    variant_cases.write_all(folder)


def close(a, b):
    return a == b or abs(a - b) <= ROUNDING * max(1, abs(a)) or (a != a and b != b)


def differences(folder):
    """What of the committed files the written ones do not say again, a line each."""
    names = {path.name for path in HERE.glob("*.golden")}
    written = {path.name for path in folder.glob("*.golden")}
    for name in sorted(names ^ written):
        yield f"{name}: only {'committed' if name in names else 'written'}"
    for name in sorted(names & written):
        if (HERE / name).read_bytes() == (folder / name).read_bytes():
            print(f"{name}: the same bytes")
            continue
        old, new = read(HERE / name), read(folder / name)
        if list(old) != list(new):
            yield f"{name}: other records"
            continue
        found = [
            f"{name}: {record}"
            for record, (dtype, shape, values) in old.items()
            if new[record][:2] != (dtype, shape) or not all(map(close, values, new[record][2]))
        ]
        if not found:
            print(f"{name}: the same but for the rounding of float64")
        yield from found


def check():
    with tempfile.TemporaryDirectory() as folder:
        write_all(pathlib.Path(folder))
        found = list(differences(pathlib.Path(folder)))
    print("\n".join(found) or "nothing differs")
    return 1 if found else 0


def main():
    if sys.argv[1:] == ["--check"]:
        sys.exit(check())
    write_all(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)


if __name__ == "__main__":
    main()
