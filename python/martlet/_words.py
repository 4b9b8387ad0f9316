"""Messages of the library in this package's words: where C says ``inputs[0]``, Python's functions have ``x``."""

from __future__ import annotations

import re
from typing import Any

#: What C's functions call a list of arrays, and what this package's call it.
_NAMES = {"inputs": "x", "targets": "y", "outputs": "out", "grad_outputs": "grad_output", "data": "data", "batch": "batch"}

#: Functions whose arguments have names of their own.
_OTHER_NAMES = {
    "martlet_model_check": {"data": "x"},
    "martlet_model_create": {"inputs": "inputs", "outputs": "outputs"},
    "martlet_shift_recorder_record": {"inputs": "probe"},
}

#: What Python has a word of its own for.
_REMEDIES = {
    "turn training off": "pass training=False",
    "turn strict off": "pass strict=False",
    "leave it out (drop_last; dropsLast in Swift)": "leave it out with drop_last=True",
    "Leave out the last batch (drop_last; dropsLast in Swift)": "Leave out the last batch (drop_last=True)",
    "Convert class numbers to an integer type": "Convert class numbers with .astype(int)",
}

#: ``inputs[0]``, also as a part of a struct or of a list of batches, and ``inputs`` alone in front of a message.
_ARRAYS = re.compile(
    r"(?<![\w.])(?:micro_batches\[(?P<part>\d+)\]\.)?(?:options\.)?(?P<validation>validation_)?"
    rf"(?P<name>{'|'.join(_NAMES)})(?:\[(?P<place>\d+)\]|(?=:))"
)


def in_python(message: str, function: str, arguments: Any) -> str:
    """``message``, which a function of the library gave for these arguments, with the names that the caller used."""
    others = _OTHER_NAMES.get(function, {})
    counts = {name: len(given) for given in arguments or () if (name := getattr(given, "name", None)) is not None}

    def renamed(match: re.Match[str]) -> str:
        c_name, place = match["name"], match["place"]
        if place is None and match.start() > 0:
            return match[0]
        name = others.get(c_name, _NAMES[c_name])
        if match["validation"] or match["part"]:
            name = f"batches[{match['part']}]" if match["part"] else "validation_data"
            name += "[0]" if c_name == "inputs" else "[1]"
        is_single = place is None or (place == "0" and counts.get(name, 1) == 1)
        return name if is_single else f"{name}[{place}]"

    return in_python_text(_ARRAYS.sub(renamed, message))


def in_python_text(text: str) -> str:
    """Text without names of arguments, such as advice."""
    for neutral, python in _REMEDIES.items():
        text = text.replace(neutral, python)
    return text
