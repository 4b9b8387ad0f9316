#!/usr/bin/env python3
"""Writes every `.golden` file of this folder again. Needs PyTorch 2 (the CPU build is enough); README.md says more.

python make_goldens.py           # the files of this folder
python make_goldens.py FOLDER    # elsewhere, to compare
"""

import pathlib
import sys

import batch_norm_cases
import image_cases
import layer_cases
import normalization_cases
import training_cases
import variant_cases


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    folder.mkdir(parents=True, exist_ok=True)
    for cases in (batch_norm_cases, image_cases, layer_cases, normalization_cases, training_cases):
        cases.write_all(folder)
    variant_cases.write_all(folder)


if __name__ == "__main__":
    main()
