"""Small files made to cost much: each is run by itself, and what it takes is measured.

python tests/costly_files.py              every shape: seconds of processor time, megabytes, what the library said
python tests/costly_files.py NAME         one of them, in this process: prints a line of JSON
"""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from typing import Any

#: Nodes of the long networks: a little below what a graph may have.
NODES = 16_000


def safetensors(tensors: Iterable[tuple[str, str, list[int], bytes]], architecture: Any = None, metadata: Any = None) -> bytes:
    """A file of (name, dtype, shape, bytes), with an architecture (as JSON or as text) if there is one."""
    header: dict[str, Any] = {}
    if architecture is not None:
        text = architecture if isinstance(architecture, str) else json.dumps(architecture, separators=(",", ":"))
        header["__metadata__"] = {"martlet": text}
    if metadata is not None:
        header["__metadata__"] = metadata
    data = []
    offset = 0
    for name, dtype, shape, value in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(value)]}
        data.append(value)
        offset += len(value)
    return raw(json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode(), b"".join(data))


def raw(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def network(
    layers: list[tuple[str, str, dict[str, Any]]], nodes: list[Any], outputs: list[int], shape: list[int], inputs: int = 1
) -> dict[str, Any]:
    return {
        "format": "martlet",
        "version": 1,
        "layers": [{"name": name, "kind": kind, "options": options} for name, kind, options in layers],
        "nodes": [{"input": shape, "name": f"in{i}"} for i in range(inputs)] + nodes,
        "inputs": list(range(inputs)),
        "outputs": outputs,
        "frozen": [],
    }


def at(layer: int, *sources: int) -> dict[str, Any]:
    return {"layer": layer, "from": list(sources)}


NORM = {
    "epsilon": 1e-5,
    "momentum": 0.9,
    "scale": True,
    "shift": True,
    "biased_moving_variance": False,
    "count_nonfinite_batches": False,
    "normalize_with": "batch",
    "updates_moving": True,
    "trains_scale_shift": True,
}
BARE_NORM = {**NORM, "scale": False, "shift": False}


def dense(units: int, bias: bool = True) -> dict[str, Any]:
    return {"units": units, "bias": bias, "weight_initializer": "zeros", "bias_initializer": "zeros"}


def float32(count: int) -> bytes:
    return struct.pack("<f", 0.5) * count


def dense_tensors(name: str, inputs: int, units: int, bias: bool = True) -> list[tuple[str, str, list[int], bytes]]:
    found = [(f"{name}.weight", "F32", [units, inputs], float32(units * inputs))]
    return found + ([(f"{name}.bias", "F32", [units], float32(units))] if bias else [])


def norm_tensors(name: str, channels: int, affine: bool = True) -> list[tuple[str, str, list[int], bytes]]:
    names = (["weight", "bias"] if affine else []) + ["running_mean", "running_var"]
    found = [(f"{name}.{part}", "F32", [channels], float32(channels)) for part in names]
    return [*found, (f"{name}.num_batches_tracked", "I64", [], struct.pack("<q", 3))]


def chain(kinds: list[tuple[str, dict[str, Any]]], shape: list[int], count: int, tensors: Any = None) -> bytes:
    """Layers of these kinds in turn, one after another."""
    layers = [(f"l{i}", *kinds[i % len(kinds)]) for i in range(count)]
    found = [tensor for i, (name, kind, _) in enumerate(layers) if tensors for tensor in tensors(name, kind)]
    return safetensors(found, network(layers, [at(i, i) for i in range(count)], [count], shape))


def of_kind(name: str, kind: str) -> list[tuple[str, str, list[int], bytes]]:
    if kind == "dense":
        return dense_tensors(name, 1, 1)
    return norm_tensors(name, 1) if kind == "batch_norm" else []


def one_layer_in_many_places(name: str, kind: str, options: dict[str, Any], tensors: Any, places: int) -> bytes:
    nodes = [at(0, i) for i in range(places)]
    return safetensors(tensors, network([(name, kind, options)], nodes, [places], [1]))


def fan_out(outputs: int) -> bytes:
    nodes = [at(0, 0) for _ in range(outputs)]
    return safetensors([], network([("r", "relu", {})], nodes, list(range(1, outputs + 1)), [1]))


def many_joins(width: int, count: int, kind: str) -> bytes:
    """Joins of many inputs, each of which reads the same few values again."""
    layers = [("r", "relu", {}), *((f"j{i}", kind, {}) for i in range(count))]
    nodes = [at(0, 0)] + [at(1 + i, *([0, 1] * (width // 2))) for i in range(count)]
    return safetensors([], network(layers, nodes, list(range(2, count + 2)), [1]))


def norms_and_dropouts(count: int) -> bytes:
    """Dropouts that each reach every norm behind them by another way."""
    layers: list[tuple[str, str, dict[str, Any]]] = []
    for i in range(count):
        layers.append((f"d{i}", "dropout", {"rate": 0.5}))
    for i in range(count):
        layers.append((f"n{i}", "batch_norm", BARE_NORM))
    layers.append(("sum", "add", {}))
    nodes = [at(i, i) for i in range(count)]
    nodes += [at(count + i, count) for i in range(count)]
    nodes.append(at(2 * count, *range(count + 1, 2 * count + 1)))
    tensors = [tensor for i in range(count) for tensor in norm_tensors(f"n{i}", 1, affine=False)]
    return safetensors(tensors, network(layers, nodes, [2 * count + 1], [1]))


def norms_of_one_layer(count: int) -> bytes:
    """A wide layer, and behind it norms that could each be folded into it: a pass over its weights each."""
    layers = [("w", "dense", dense(1, bias=False)), *((f"n{i}", "batch_norm", BARE_NORM) for i in range(count))]
    tensors = dense_tensors("w", 1 << 18, 1, bias=False)
    tensors += [tensor for i in range(count) for tensor in norm_tensors(f"n{i}", 1, affine=False)]
    return safetensors(tensors, network(layers, [at(i, i) for i in range(count + 1)], [count + 1], [1 << 18]))


def ladder(count: int) -> bytes:
    """Values of falling sizes with lives of all lengths: the hardest work for whoever gives them memory."""
    layers, nodes = [], []
    for i in range(count):
        layers.append((f"z{i}", "zero_pad2d", {"padding": [[0, i % 97], [0, 0]]}))
        nodes.append(at(i, 0))
    layers.append(("flat", "global_avg_pool2d", {}))
    nodes += [at(count, 1 + i) for i in reversed(range(count))]
    layers.append(("sum", "add", {}))
    nodes.append(at(count + 1, *range(count + 1, 2 * count + 1)))
    return safetensors([], network(layers, nodes, [2 * count + 1], [1, 1, 1]))


def hostile_names(count: int) -> bytes:
    marks = "e" + "\u0301\u0323" * 240
    layers = [(f"{marks}{i}", "relu", {}) for i in range(count)]
    return safetensors([], network(layers, [at(i, i) for i in range(count)], [count], [1]))


def header_of(entry: bytes, count: int, begin: bytes = b"", end: bytes = b"") -> bytes:
    return raw(b'{"__metadata__":{"a":"b"},"x":' + begin + b",".join([entry] * count) + end + b"}")


SHAPES: dict[str, Callable[[], bytes]] = {
    # Texts and values.
    "combining marks in a tensor's name": lambda: raw(
        b'{"' + ("e" + "\u0301\u0323" * 80_000).encode() + b'":1,"' + ("e" + "\u0323\u0301" * 80_000).encode() + b'":1}'
    ),
    "combining marks in metadata": lambda: safetensors(
        [], None, {"e" + "\u0301\u0323" * 80_000 + str(i): "e" + "\u0323\u0301" * 80_000 for i in range(4)}
    ),
    "combining marks in the architecture": lambda: hostile_names(300),
    "metadata entries": lambda: safetensors([], None, {str(i): "" for i in range(300_000)}),
    "empty arrays": lambda: header_of(b"[]", 1_900_000, b"[", b"]"),
    "empty objects": lambda: header_of(b"{}", 1_900_000, b"[", b"]"),
    "small objects": lambda: header_of(b'{"":0}', 900_000, b"[", b"]"),
    "small numbers": lambda: header_of(b"1", 1_900_000, b"[", b"]"),
    "deep arrays": lambda: header_of(b"[" * 60 + b"]" * 60, 30_000, b"[", b"]"),
    "deep objects": lambda: header_of(b'{"":' * 60 + b"0" + b"}" * 60, 30_000, b"[", b"]"),
    "short texts": lambda: header_of(b'"0123456789abcdef"', 900_000, b"[", b"]"),
    "a long text": lambda: safetensors([], "x" * 8_000_000),
    "a long number": lambda: header_of(b"1" * 4_000_000, 1),
    "a rank of thousands": lambda: safetensors([("a", "F32", [1] * 300_000, float32(1))]),
    "empty tensors of huge shapes": lambda: safetensors([(f"t{i}", "F32", [0, 1 << 40], b"") for i in range(60_000)]),
    "tensors": lambda: safetensors([(f"t{i}", "F32", [1], float32(1)) for i in range(99_000)]),
    "tensors whose names begin alike": lambda: safetensors(
        [("n" * 150 + str(i), "F32", [], float32(1)) for i in range(40_000)]
    ),
    "tensors of unread types": lambda: safetensors([(f"t{i}", "F4", [2], b"a") for i in range(60_000)]),
    "frozen names": lambda: safetensors(
        dense_tensors("l", 1, 1),
        {**network([("l", "dense", dense(1))], [at(0, 0)], [1], [1]), "frozen": ["l.weight"] * 400_000},
    ),
    # Networks.
    "a chain of activations": lambda: chain([("relu", {})], [4], NODES),
    "a chain of dense layers": lambda: chain([("dense", dense(1))], [1], NODES, of_kind),
    "a chain of dense layers and norms": lambda: chain([("dense", dense(1)), ("batch_norm", NORM)], [1], NODES, of_kind),
    "a chain of norms": lambda: chain([("batch_norm", NORM)], [1], NODES, of_kind),
    "a chain of dropouts": lambda: chain([("dropout", {"rate": 0.5})], [1], NODES),
    "a chain of reshapes": lambda: chain([("reshape", {"shape": [1, -1]}), ("flatten", {})], [4], NODES),
    "dropouts and norms": lambda: norms_and_dropouts(4_000),
    "norms of one layer": lambda: norms_of_one_layer(4_000),
    "places of an activation": lambda: one_layer_in_many_places("r", "relu", {}, [], 4_000),
    "places of a dense layer": lambda: one_layer_in_many_places("d", "dense", dense(1), dense_tensors("d", 1, 1), 4_000),
    "places of a layer with a long name": lambda: one_layer_in_many_places("r" * 1000, "relu", {}, [], 4_000),
    "places of a large layer": lambda: safetensors(
        dense_tensors("d", 512, 512),
        network([("d", "dense", dense(512))], [at(0, i) for i in range(400)], [400], [512]),
    ),
    "outputs": lambda: fan_out(4_000),
    "inputs": lambda: safetensors([], network([("s", "add", {})], [at(0, *range(4_000))], [4_000], [1], inputs=4_000)),
    "sums of many inputs": lambda: many_joins(4_000, 200, "add"),
    "concatenations of many inputs": lambda: many_joins(4_000, 200, "concatenate"),
    "values of many sizes and lives": lambda: ladder(4_000),
}


def run(name: str) -> dict[str, Any]:
    """Everything that can be done with one file, in this process."""
    import numpy as np

    import martlet

    contents = SHAPES[name]()
    found: dict[str, Any] = {"bytes": len(contents)}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file")
        with open(path, "wb") as file:
            file.write(contents)
        del contents
        other = martlet.Sequential([martlet.Dense(3), martlet.BatchNorm()], input_shape=(2,))
        other.predict(np.zeros((1, 2)))
        model: Any = None

        def data() -> Any:
            return [np.ones((2, *shape), np.float32) for shape in model.input_shapes]

        def measured(step: str, call: Callable[[], Any]) -> Any:
            before, start = peak(reset=True), time.process_time()
            try:
                result, said = call(), "ok"
            except martlet.MartletError as error:
                result, said = (
                    None,
                    f"{type(error).__name__}, {len(str(error))} characters: {str(error)[len(path) + 4 :][:110]}",
                )
            found[step] = {
                "seconds": time.process_time() - start,
                "bytes": peak() - before,
                "said": said,
            }
            return result

        measured("load_weights", lambda: other.load_weights(path, strict=False))
        measured("load_weights, strict", lambda: other.load_weights(path))
        owner = measured("load", lambda: loaded(martlet, path))
        if owner is not None:
            del owner
            model = martlet.load(path)
            single = len(model.input_shapes) == 1
            measured("plan", lambda: model.plan(2, training=False))
            measured("plan, training", lambda: model.plan(2, training=True))
            measured("predict", lambda: model.predict(data()[0] if single else data()))
            measured("check", lambda: model.check())
            measured("check on data", lambda: model.check(data()[0] if single else data()))
            measured("fold", lambda: model.fold())
            measured("fold on data", lambda: model.fold(data()[0] if single else data()))
            measured("save", lambda: model.save(os.path.join(folder, "again")))
    return found


def loaded(martlet: Any, path: str) -> Any:
    """A model of the library alone: Python's objects for its layers are Python's cost."""
    import ctypes

    from martlet import _abi
    from martlet._handle import Owner
    from martlet._library import library

    out = ctypes.POINTER(_abi.martlet_model)()
    library().martlet_model_load(ctypes.byref(out), os.fsencode(path))
    return Owner(out, library().martlet_model_destroy)


def peak(reset: bool = False) -> int:
    """The most memory that was resident since the last reset, in bytes."""
    if reset:
        try:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")
        except OSError:
            pass
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(name: str, seconds: float = 600) -> dict[str, Any]:
    """:func:`run` in a process of its own."""
    done = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode != 0:
        return {"bytes": 0, "died": f"status {done.returncode}: {done.stderr[-400:]}"}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] in SHAPES:
        print(json.dumps(run(sys.argv[1])))
        return
    for name in SHAPES:
        if len(sys.argv) > 1 and sys.argv[1] not in name:
            continue
        found = measure(name)
        print(f"{name}: {found.pop('bytes'):,} bytes", flush=True)
        for step, cost in found.items():
            if step == "died":
                print(f"    DIED {cost}")
            else:
                print(f"    {step:22} {cost['seconds']:7.2f} s {cost['bytes'] / 1e6:8.1f} MB  {cost['said']}", flush=True)


if __name__ == "__main__":
    main()
