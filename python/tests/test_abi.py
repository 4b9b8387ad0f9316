"""The table of martlet/_abi.py against include/martlet.h and a C compiler."""

from __future__ import annotations

import ctypes
import shutil
import subprocess

import header
import pytest

import martlet
from martlet import _abi
from martlet._errors import ERRORS, raise_for_status
from martlet._library import library


def test_every_function_of_the_header_is_in_the_table_and_no_other():
    assert sorted(header.functions()) == sorted(_abi.FUNCTIONS)
    assert len(_abi.FUNCTIONS) > 70  # the reader of the header really reads


@pytest.mark.parametrize("name", sorted(_abi.FUNCTIONS))
def test_types_of_a_function(name):
    result, arguments, check = _abi.FUNCTIONS[name]
    declared = header.functions()[name]
    assert result is declared.result
    assert list(arguments) == declared.arguments
    assert (check is raise_for_status) == declared.status


def test_every_constant_of_the_header():
    declared = header.constants()
    assert {name: getattr(_abi, name, None) for name in declared} == declared
    assert len(declared) > 40


def test_every_struct_of_the_header():
    declared = header.struct_fields()
    assert {struct.__name__: [field[0] for field in struct._fields_] for struct in _abi.STRUCTS} == declared
    assert {handle.__name__ for handle in _abi.HANDLES} == header.handles()


def test_layout_is_what_a_c_compiler_says(tmp_path):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    assert compiler, "a C compiler is needed"
    lines = ["#include <stdio.h>", "#include <stddef.h>", '#include "martlet.h"', "int main(void) {"]
    expected = []
    for struct in _abi.STRUCTS:
        name = struct.__name__
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        expected.append(f"{name} {ctypes.sizeof(struct)}")
        for field, *_ in struct._fields_:
            lines.append(f'printf("{name}.{field} %zu %zu\\n", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));')
            place = getattr(struct, field)
            expected.append(f"{name}.{field} {place.offset} {place.size}")
    source, program = tmp_path / "layout.c", tmp_path / "layout"
    source.write_text("\n".join([*lines, "return 0; }"]))
    subprocess.run([compiler, "-std=c99", f"-I{header.PATH.parent}", str(source), "-o", str(program)], check=True)
    printed = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    assert printed.splitlines() == expected


def test_every_status_has_an_error_class_named_in_the_table():
    numbers = {
        "INVALID_ARGUMENT": martlet.InvalidArgumentError,
        "SHAPE_MISMATCH": martlet.ShapeError,
        "INVALID_STATE": martlet.InvalidStateError,
        "UNSUPPORTED": martlet.UnsupportedError,
        "IO_ERROR": martlet.FileError,
        "CORRUPT_FILE": martlet.CorruptFileError,
        "OUT_OF_MEMORY": martlet.OutOfMemoryError,
        "CANCELLED": martlet.CancelledError,
        "INTERNAL_ERROR": martlet.InternalError,
        "NOT_FINITE": martlet.NonFiniteError,
    }
    assert {getattr(_abi, name): error for name, error in numbers.items()} == ERRORS
    for name in numbers:
        assert library().martlet_status_name(getattr(_abi, name)).decode() == f"MARTLET_{name}"


def test_versions_agree():
    assert martlet.__version__ == header.version() == library().martlet_version().decode()
    assert library().martlet_abi_version() == _abi.ABI_VERSION
