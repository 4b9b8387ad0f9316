"""Networks as graphs: what a layer applied to something is, and how that becomes a model of the library."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from . import _abi, _arguments
from ._errors import InvalidArgumentError
from ._handle import Handle, Owner
from ._library import library
from ._tensors import tensors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .layers import Layer


_LAYOUTS = {"channels_last": 0, "channels_first": 1}


class Node:
    """A place in a network: an input, or a layer applied to other nodes. Made by :func:`Input` and by calling layers."""

    __slots__ = ("layer", "layout", "name", "parents", "shape")

    def __init__(
        self,
        layer: Layer | None = None,
        parents: tuple[Node, ...] = (),
        shape: tuple[int, ...] | None = None,
        name: str | None = None,
        layout: str = "channels_last",
    ) -> None:
        self.layer = layer
        self.parents = parents
        self.shape = shape
        self.name = name
        self.layout = layout

    def __repr__(self) -> str:
        if self.layer is None:
            return f"Input({self.shape})"
        # Not the whole network: a graph of n nodes can have 2ⁿ paths.
        return f"{self.layer!r} of {', '.join(repr(node.layer or node) for node in self.parents)}"


def Input(shape: int | Sequence[int], name: str | None = None, *, layout: str = "channels_last") -> Node:
    """A place where data comes into a network.

    Parameters
    ----------
    shape : tuple of int
        The shape of one row, without the batch axis.
    name : str, optional
        ``"input"`` (or ``"input_1"``, … where there are several) if left out.
    layout : {"channels_last", "channels_first"}, optional
        Where the channel axis of the data is. From channels first, ``(C, H, W)``, the data is brought to channels last,
        ``(H, W, C)``, once, behind the input, and so is its gradient: all layers see channels last.

    Examples
    --------
    >>> from martlet import Dense, Input, Model, ReLU
    >>> x = Input((784,))
    >>> h = ReLU()(Dense(100)(x))
    >>> net = Model(x, Dense(10)(h), seed=1)
    >>> net.output_shape
    (10,)
    """
    _arguments.one_of(layout, "layout", _LAYOUTS)
    return Node(shape=tuple(_arguments.shape(shape)), name=name, layout=layout)


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

    def apply(self, layer: int, nodes: Sequence[int]) -> int:
        """The layer of an earlier node applied to other nodes; returns the new node's number."""
        out = ctypes.c_int32()
        array = (ctypes.c_int32 * len(nodes))(*nodes)
        library().martlet_graph_apply(self._open(), layer, array, len(nodes), ctypes.byref(out))
        return out.value

    def apply_residual_recipe(self) -> None:
        """Last scales of residual branches from 0, no bias before batch norm."""
        library().martlet_graph_apply_residual_recipe(self._open(), None, None)

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


class _Builder:
    """Gives the nodes their numbers in the library's graph."""

    def __init__(self, graph: Graph, layers: Iterable[Layer], *, by_place: bool) -> None:
        self.graph = graph
        self.by_place = by_place
        self.layers: list[tuple[str, Layer]] = []
        self._numbers: dict[int, int] = {}
        #: The input itself, where what is read is its channels-last form.
        self._raw: dict[int, int] = {}
        #: Of each layer, its first node.
        self._first: dict[int, int] = {}
        self._counts: dict[str, int] = {}
        self._taken = {layer.name for layer in layers}

    def add_input(self, node: Node, name: str) -> int:
        number = self._numbers[id(node)] = self.graph.input(name, node.shape or ())
        return number

    def number(self, node: Node) -> int:
        """Where to read the node's value, channels last."""
        if node.layer is None and node.layout == "channels_first" and id(node) not in self._raw:
            from .layers import ChannelsLast

            self._raw[id(node)] = self._numbers[id(node)]
            self._numbers[id(node)] = self._new(ChannelsLast(), self._fresh(ChannelsLast.kind), self._raw[id(node)])
        return self._numbers[id(node)]

    def add(self, node: Node, place: int) -> None:
        layer = node.layer
        assert layer is not None
        parents = [self.number(parent) for parent in node.parents]
        first = self._first.get(id(layer))
        if first is not None:
            self._numbers[id(node)] = self.graph.apply(first, parents)
            return
        name = layer.name
        if name is None:
            name = str(place) if self.by_place else self._fresh(layer.kind)
        self._numbers[id(node)] = self._first[id(layer)] = self._new(layer, name, *parents)

    def _new(self, layer: Layer, name: str, *parents: int) -> int:
        number = layer._add(self.graph, name, *parents)
        self.layers.append((name, layer))
        return number

    def _fresh(self, kind: str) -> str:
        while True:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            name = f"{kind}_{self._counts[kind]}"
            if name not in self._taken:
                return name


def build(
    inputs: Sequence[Node], outputs: Sequence[Node], seed: int, *, by_place: bool = False, residual_recipe: bool = False
) -> tuple[Owner, list[tuple[str, Layer]]]:
    """The library's model from ``inputs`` to ``outputs``, and its layers in the order they run, with their names.

    With the recipe, layers that lost their bias say so. Unnamed layers are named after their kind and a number ("dense_1"), or
    by their place alone ("0").
    """
    order = _in_order(inputs, outputs)
    with Graph() as graph:
        builder = _Builder(graph, (node.layer for node in order if node.layer is not None), by_place=by_place)
        numbers = []
        for index, node in enumerate(inputs):
            name = node.name
            if name is None:
                name = "input" if len(inputs) == 1 else f"input_{index + 1}"
            numbers.append(builder.add_input(node, name))
        for place, node in enumerate(order):
            builder.add(node, place)
        if residual_recipe:
            graph.apply_residual_recipe()
        owner = graph.model(numbers, [builder.number(node) for node in outputs], seed)
    if residual_recipe:
        kept = {tensor.name for tensor in tensors(owner)}
        for name, layer in builder.layers:
            if getattr(layer, "bias", False) and f"{name}.bias" not in kept:
                layer._drop_bias()
    return owner, builder.layers


def _in_order(inputs: Sequence[Node], outputs: Sequence[Node]) -> list[Node]:
    """Every layer node between, parents first."""
    known = {id(node) for node in inputs}
    if len(known) != len(inputs):
        raise InvalidArgumentError("inputs names one Input twice; list each once")
    order: list[Node] = []
    for output in outputs:
        # Depth first without recursion, which a deep network would exhaust: a node is left when its parents are.
        path = [] if id(output) in known else [(output, iter(output.parents))]
        while path:
            node, parents = path[-1]
            if node.layer is None:
                raise InvalidArgumentError(f"outputs depend on {node!r}, which is not among inputs; add it to inputs")
            parent = next((parent for parent in parents if id(parent) not in known), None)
            if parent is not None:
                path.append((parent, iter(parent.parents)))
            else:
                known.add(id(node))
                order.append(node)
                path.pop()
    return order
