"""Reads include/martlet.h as far as the tests need: constants, structs, functions."""

from __future__ import annotations

import ctypes
import re
from typing import NamedTuple

from conftest import REPOSITORY

from martlet import _abi

PATH = REPOSITORY / "include" / "martlet.h"

_PLAIN = {
    "int32_t": ctypes.c_int32,
    "int64_t": ctypes.c_int64,
    "uint64_t": ctypes.c_uint64,
    "size_t": ctypes.c_size_t,
    "double": ctypes.c_double,
    "float": ctypes.c_float,
    "martlet_status": ctypes.c_int32,
    "martlet_node": ctypes.c_int32,
    "martlet_all_reduce": _abi.martlet_all_reduce,
    "martlet_batch_callback": _abi.martlet_batch_callback,
    "martlet_training_callback": _abi.martlet_training_callback,
}
_STRUCTS = {struct.__name__: struct for struct in (*_abi.STRUCTS, *_abi.HANDLES)}


class Function(NamedTuple):
    status: bool
    result: object
    arguments: list[object]


def text() -> str:
    """The header without comments, line continuations and C++ guards."""
    found = re.sub(r"/\*.*?\*/", " ", PATH.read_text(), flags=re.S)
    found = re.sub(r"#ifdef __cplusplus\s.*?#endif", " ", found, flags=re.S)
    return found.replace("\\\n", " ")


def constants() -> dict[str, int]:
    """Enumerators and whole-number macros, without MARTLET_."""
    found = {}
    for body in re.findall(r"\benum\s*\{(.*?)\}", text(), flags=re.S):
        following = 0
        for item in filter(None, (part.strip() for part in body.split(","))):
            name, _, value = (part.strip() for part in item.partition("="))
            following = int(value) if value else following
            found[name] = following
            following += 1
    for name, value in re.findall(r"#define\s+(MARTLET_\w+)\s+(\d+|INT32_MAX)\s", text()):
        found[name] = 2**31 - 1 if value == "INT32_MAX" else int(value)
    return {name[len("MARTLET_") :]: value for name, value in found.items()}


def version() -> str:
    return re.search(r'#define\s+MARTLET_VERSION\s+"([^"]+)"', text())[1]


def struct_fields() -> dict[str, list[str]]:
    """Field names of every struct with a body."""
    found = {}
    for body, name in re.findall(r"typedef\s+struct\s+\w+\s*\{(.*?)\}\s*(\w+)\s*;", text(), flags=re.S):
        names = []
        for declaration in filter(None, (part.strip() for part in body.split(";"))):
            for part in declaration.split(","):
                names.append(re.search(r"(\w+)\s*(\[[^\]]*\])?\s*$", part)[1])
        found[name] = names
    return found


def handles() -> set[str]:
    """Structs without a body."""
    return set(re.findall(r"typedef\s+struct\s+(\w+)\s+\1\s*;", text()))


def functions() -> dict[str, Function]:
    """Every function: whether it returns a status, its result and arguments in ctypes."""
    body = re.sub(r"^\s*#.*$", " ", text(), flags=re.M)
    body = re.sub(r"\btypedef\b[^;{]*(\{.*?\})?[^;]*;", " ", body, flags=re.S)
    body = re.sub(r"\benum\s*\{.*?\}\s*;", " ", body, flags=re.S)
    found = {}
    for result, name, parameters in re.findall(r"([\w][\w\s\*]*?)\b(martlet_\w+)\s*\(([^)]*)\)\s*;", body):
        arguments = [] if parameters.strip() == "void" else [_type_of(part) for part in parameters.split(",")]
        found[name] = Function("martlet_status" in result, _type(result), arguments)
    return found


def _type_of(parameter: str) -> object:
    """The type of a parameter such as ``const char *const *layer_names``."""
    declared = re.sub(r"\w+\s*$", "", parameter.strip())
    return _abi.array_pointer if declared.split() == ["const", "martlet_array", "*"] else _type(declared)


def _type(declared: str) -> object:
    words = re.sub(r"\bconst\b", " ", declared).replace("*", " * ").split()
    stars, name = words.count("*"), words[0]
    if name == "void":
        return ctypes.c_void_p if stars else None
    if name == "char":
        base: object = ctypes.c_char_p
        stars -= 1
    else:
        base = _PLAIN.get(name) or _STRUCTS[name]
    # A buffer that is written is declared as char * too; ctypes passes both alike.
    for _ in range(stars):
        base = ctypes.POINTER(base)
    return base
