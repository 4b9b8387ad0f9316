"""Hostile files: beyond every limit, small files with large costs, and nonsense in the right form."""

from __future__ import annotations

import copy
import json
import sys

import numpy as np
from attack import bounded, everything, main, read_file, refuses, write_file, write_raw

import martlet
from martlet import BatchNorm, Dense, ReLU, Sequential


def architecture(layers, nodes, inputs=(0,), outputs=None, **more):
    return {
        "format": "martlet",
        "version": 1,
        "layers": [{"name": name, "kind": kind, "options": options} for name, kind, options in layers],
        "nodes": nodes,
        "inputs": list(inputs),
        "outputs": [len(nodes) - 1] if outputs is None else list(outputs),
        "frozen": [],
        **more,
    }


RELU = ("r", "relu", {})


def chain(shape, count=1, layer=RELU):
    """One layer in ``count`` places, one after the other."""
    nodes = [{"input": list(shape), "name": "in"}] + [{"layer": 0, "from": [place]} for place in range(count)]
    return architecture([layer], nodes)


def saved(path="net.safetensors"):
    """A small model's file: its header, architecture and data."""
    net = Sequential([Dense(5, name="d"), BatchNorm(name="n"), ReLU(), Dense(3, name="e")], input_shape=(4,), seed=1)
    net.save(path)
    header, data = read_file(path)
    return header, json.loads(header["__metadata__"]["martlet"]), data


def rewritten(path, header, arch, data):
    header = copy.deepcopy(header)
    header["__metadata__"]["martlet"] = json.dumps(arch)
    return write_raw(path, json.dumps(header).encode(), data)


# ---- limits ----


def attack_axes_beyond_the_limit():
    for axes in (16, 17, 18, 40, 1000):
        size = write_file("f", chain([1] * axes))
        bounded(size, lambda: everything("f"))


def attack_tensor_of_many_axes():
    header, arch, data = saved()
    for axes in (17, 18, 64, 4000):
        for name in list(header):
            if name == "__metadata__":
                continue
            changed = copy.deepcopy(header)
            changed[name]["shape"] = [1] * (axes - len(changed[name]["shape"])) + changed[name]["shape"]
            size = rewritten("f", changed, arch, data)
            refuses(lambda: martlet.load("f"))
            bounded(size, lambda: _net().load_weights("f", strict=False))


def _net():
    return Sequential([Dense(5, name="d"), BatchNorm(name="n"), ReLU(), Dense(3, name="e")], input_shape=(4,), seed=1)


def attack_huge_dimensions():
    for shape in ([2**31], [2**62], [2**32, 2**32], [2**21] * 3, [0, 2**62], [-1], [2**63]):
        size = write_file("f", json.dumps(chain(shape)))
        bounded(size, lambda: martlet.load("f").plan(1, training=False))
        bounded(size, lambda: martlet.load("f").plan(2**40, training=True))


def attack_many_outputs():
    nodes = chain([4], 1)["nodes"]
    for count in (100, 4096, 16_000):
        size = write_file("f", architecture([RELU], nodes, outputs=[1] * count))
        bounded(size, lambda: everything("f"))


def attack_many_inputs():
    count = 20_000
    nodes = [{"input": [1], "name": f"i{place}"} for place in range(count)]
    size = write_file("f", architecture([], nodes, inputs=range(count), outputs=[0]))
    bounded(size, lambda: everything("f"))


# ---- small files, large costs ----


def attack_places_of_one_layer():
    for count in (1_000, 20_000, 100_000):
        size = write_file("f", chain([2], count))
        bounded(size, lambda: everything("f"))


def attack_batch_norms_one_after_another():
    count = 2_000
    options = json.loads(Sequential([BatchNorm()], input_shape=(1,)).architecture)["layers"][0]["options"]
    size = write_file("f", chain([1], count, ("n", "batch_norm", options)), _norm_tensors("n"))
    bounded(size, lambda: everything("f"))


def _norm_tensors(name):
    one, count = np.ones(1, np.float32).tobytes(), np.zeros(1, np.int64).tobytes()
    values = [(f"{name}.{local}", "F32", [1], one) for local in ("weight", "bias", "running_mean", "running_var")]
    return [(f"{name}.num_batches_tracked", "I64", [], count), *values]


def attack_deep_json():
    for depth in (64, 65, 1_000, 100_000):
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            text = opening * depth + "1" + closing * depth
            size = write_file("f", text)
            bounded(size, lambda: martlet.load("f"))
            size = write_raw("f", text.encode())
            bounded(size, lambda: martlet.load("f"))


def attack_many_small_values():
    for piece in ("[],", "{},", "0,", '"",', "[0],"):
        text = "[" + piece * (700_000 // len(piece)) + "0]"
        size = write_file("f", text)
        bounded(size, lambda: martlet.load("f"))
        size = write_raw("f", ('{"__metadata__":{},"a":' + text + "}").encode())
        bounded(size, lambda: martlet.load("f"))
        bounded(size, lambda: _net().load_weights("f"))


def attack_many_members():
    members = ",".join(f'"{number:x}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for number in range(12_000))
    size = write_raw("f", ("{" + members + "}").encode())
    bounded(size, lambda: martlet.load("f"))
    bounded(size, lambda: _net().load_weights("f", strict=False))


def attack_combining_marks():
    for marks in (300, 10_000, 160_000):
        name = "e" + "\u0301" * marks
        size = write_file("f", chain([2], 3, (name, "relu", {})))
        bounded(size, lambda: everything("f"))
        size = write_file("f", chain([2], 3), [(name, "F32", [0], b""), (name + "\u0301", "F32", [0], b"")])
        bounded(size, lambda: everything("f"))
        bounded(size, lambda: _net().load_weights("f", strict=False))


def attack_long_header_lengths():
    for length in (0, 1, 2**31, 2**32, 2**62, 2**63, 2**64 - 1, 2**64 - 8):
        for rest in (b"", b"{}", b"{" * 100):
            with open("f", "wb") as file:
                file.write(length.to_bytes(8, "little") + rest)
            bounded(8, lambda: refuses(lambda: martlet.load("f")))
    for size in range(9):
        with open("f", "wb") as file:
            file.write(b"\x01" * size)
        bounded(size, lambda: refuses(lambda: martlet.load("f")))


def attack_truncated_files():
    saved()
    with open("net.safetensors", "rb") as file:
        contents = file.read()
    for length in range(0, len(contents), 7):
        with open("f", "wb") as file:
            file.write(contents[:length])
        refuses(lambda: martlet.load("f"))
        refuses(lambda: _net().load_weights("f"))


# ---- nonsense in the right form ----


def attack_unknown_options_and_members():
    header, arch, data = saved()

    def changed(change):
        wrong = copy.deepcopy(arch)
        change(wrong)
        rewritten("f", header, wrong, data)
        return refuses(lambda: martlet.load("f"))

    changed(lambda a: a["layers"][0]["options"].update(no_such_option=1))
    changed(lambda a: a.update(no_such_member=1))
    changed(lambda a: a["layers"][0].update(no_such_member=1))
    changed(lambda a: a["nodes"][1].update(no_such_member=1))
    changed(lambda a: a["nodes"][1].update(input=[4]))
    changed(lambda a: a.pop("frozen"))
    changed(lambda a: a.update(frozen=[1]))
    changed(lambda a: a.update(frozen=["no.such"]))


def attack_values_that_the_library_refuses():
    header, arch, data = saved()
    begin, end = header["n.running_var"]["data_offsets"]
    for value in (-1.0, float("nan"), -float("inf")):
        wrong = bytearray(data)
        wrong[begin:end] = np.full(5, value, np.float32).tobytes()
        rewritten("f", header, arch, bytes(wrong))
        refuses(lambda: martlet.load("f"))
    begin, end = header["n.num_batches_tracked"]["data_offsets"]
    wrong = bytearray(data)
    wrong[begin:end] = np.array(-1, np.int64).tobytes()
    rewritten("f", header, arch, bytes(wrong))
    refuses(lambda: martlet.load("f"))


def attack_names_with_control_characters():
    header, arch, data = saved()
    for name in ("\0", "a\0b", "a\nb", "\x1b[31m", "a\x7f"):
        wrong, tensors = copy.deepcopy(arch), dict(header)
        wrong["layers"][2]["name"] = name
        rewritten("f", tensors, wrong, data)
        refuses(lambda: martlet.load("f"))


def attack_nodes_out_of_range():
    header, arch, data = saved()
    for place in (-1, 5, 2**31, 2**62, 1e30, None, "0"):
        for key in ("inputs", "outputs"):
            rewritten("f", header, {**arch, key: [place]}, data)
            refuses(lambda: martlet.load("f"))
        wrong = copy.deepcopy(arch)
        wrong["nodes"][2]["from"] = [place]
        rewritten("f", header, wrong, data)
        refuses(lambda: martlet.load("f"))
        wrong["nodes"][2] = {"layer": place, "from": [1]}
        rewritten("f", header, wrong, data)
        refuses(lambda: martlet.load("f"))


if __name__ == "__main__":
    main(sys.modules["__main__"])
