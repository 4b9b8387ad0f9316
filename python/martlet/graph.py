"""Networks as graphs: what a layer applied to something is, and how that becomes a model of the library."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from . import _abi, _arguments
from ._errors import InvalidArgumentError
from ._handle import Handle, Owner
from ._library import library

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .layers import Layer


class Node:
    """A place in a network: an input, or a layer applied to another node. Made by :func:`Input` and by calling layers."""

    __slots__ = ("layer", "name", "parent", "shape")

    def __init__(
        self,
        layer: Layer | None = None,
        parent: Node | None = None,
        shape: tuple[int, ...] | None = None,
        name: str | None = None,
    ) -> None:
        self.layer = layer
        self.parent = parent
        self.shape = shape
        self.name = name

    def __repr__(self) -> str:
        return f"Input({self.shape})" if self.layer is None else f"{self.layer!r} of {self.parent!r}"


def Input(shape: int | Sequence[int], name: str | None = None) -> Node:
    """A place where data comes into a network.

    Parameters
    ----------
    shape : tuple of int
        The shape of one row, without the batch axis.
    name : str, optional
        ``"input"`` (or ``"input_1"``, … where there are several) if left out.

    Examples
    --------
    >>> from martlet import Dense, Input, Model, ReLU
    >>> x = Input((784,))
    >>> h = ReLU()(Dense(100)(x))
    >>> net = Model(x, Dense(10)(h), seed=1)
    >>> net.output_shape
    (10,)
    """
    return Node(shape=tuple(_arguments.shape(shape)), name=name)


class Graph(Handle):
    """A graph of the library while it is built."""

    def __init__(self) -> None:
        out = ctypes.POINTER(_abi.martlet_graph)()
        library().martlet_graph_create(ctypes.byref(out))
        self._owner = Owner(out, library().martlet_graph_destroy)

    def add(self, function: str, name: str, *arguments: Any) -> int:
        """Calls ``martlet_graph_<function>``; returns the new node's number."""
        out = ctypes.c_int32()
        call = getattr(library(), "martlet_graph_" + function)
        call(self._open(), _arguments.text(name, "name"), *arguments, ctypes.byref(out))
        return out.value

    def input(self, name: str, shape: Iterable[int]) -> int:
        dimensions = _arguments.shape(shape, "input_shape")
        return self.add("input", name, len(dimensions), dimensions)

    def model(self, inputs: Sequence[int], outputs: Sequence[int], seed: int) -> Owner:
        """The library's model of this graph."""
        ins = (ctypes.c_int32 * len(inputs))(*inputs)
        outs = (ctypes.c_int32 * len(outputs))(*outputs)
        checked = _arguments.integer(seed, "seed", 0, _arguments.UINT64_MAX)
        out = ctypes.POINTER(_abi.martlet_model)()
        library().martlet_model_create(
            ctypes.byref(out), self._open(), ins, len(ins), outs, len(outs), ctypes.c_uint64(checked)
        )
        return Owner(out, library().martlet_model_destroy)


def build(
    inputs: Sequence[Node], outputs: Sequence[Node], seed: int, *, by_place: bool = False
) -> tuple[Owner, list[tuple[str, Layer]]]:
    """The library's model from ``inputs`` to ``outputs``, and its layers in the order they run, with their names.

    Unnamed layers are named after their kind and a number ("dense_1"), or by their place alone ("0").
    """
    order = _in_order(inputs, outputs)
    numbers: dict[int, int] = {}
    counts: dict[str, int] = {}
    layers: list[tuple[str, Layer]] = []
    taken = {node.layer.name for node in order if node.layer is not None}
    with Graph() as graph:
        for index, node in enumerate(inputs):
            name = node.name
            if name is None:
                name = "input" if len(inputs) == 1 else f"input_{index + 1}"
            numbers[id(node)] = graph.input(name, node.shape or ())
        for place, node in enumerate(order):
            layer = node.layer
            assert layer is not None
            assert node.parent is not None
            name = layer.name
            if name is None:
                name = str(place) if by_place else _fresh(layer.kind, counts, taken)
            numbers[id(node)] = layer._add(graph, name, numbers[id(node.parent)])
            layers.append((name, layer))
        owner = graph.model([numbers[id(node)] for node in inputs], [numbers[id(node)] for node in outputs], seed)
    return owner, layers


def _fresh(kind: str, counts: dict[str, int], taken: set[str | None]) -> str:
    while True:
        counts[kind] = counts.get(kind, 0) + 1
        name = f"{kind}_{counts[kind]}"
        if name not in taken:
            return name


def _in_order(inputs: Sequence[Node], outputs: Sequence[Node]) -> list[Node]:
    """Every layer node between, parents first."""
    known = {id(node) for node in inputs}
    if len(known) != len(inputs):
        raise InvalidArgumentError("inputs names one Input twice; list each once")
    order: list[Node] = []
    for output in outputs:
        chain: list[Node] = []
        node = output
        while id(node) not in known:
            if node.layer is None or node.parent is None:
                raise InvalidArgumentError(f"outputs depend on {node!r}, which is not among inputs; add it to inputs")
            known.add(id(node))
            chain.append(node)
            node = node.parent
        order.extend(reversed(chain))
    _refuse_shared(order)
    return order


def _refuse_shared(order: list[Node]) -> None:
    seen: set[int] = set()
    for node in order:
        if id(node.layer) in seen:
            raise InvalidArgumentError(f"{node.layer!r} is applied twice; make one layer for each place in the network")
        seen.add(id(node.layer))
