"""Convolutions over images and sequences."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from .. import _abi, _arguments
from ..initializers import Initializer, as_initializer
from ._windows import Pair, as_pair, as_sequence_padding, as_sides, padding_fields, shown_pair
from .base import Layer

if TYPE_CHECKING:
    from ..graph import Graph


ALGORITHMS = {
    "automatic": _abi.CONVOLUTION_AUTOMATIC,
    "direct": _abi.CONVOLUTION_DIRECT,
    "winograd": _abi.CONVOLUTION_WINOGRAD,
}


class Conv2D(Layer):
    """Convolution over images ``[rows, height, width, channels]``.

    ::

        y[h, w, o] = Σ x[h·stride + i·dilation − pad, …, c] · W[o, c, i, j] + b[o]

    Its tensors are ``weight`` ``[filters, channels / groups, kernel height, kernel width]`` and ``bias`` ``[filters]``, as in
    PyTorch.

    Parameters
    ----------
    filters : int
        Channels of the result.
    kernel_size : int or (int, int)
        Height and width.
    strides : int or (int, int), optional
    padding : {"valid", "same"}, int or ((top, bottom), (left, right)), optional
        Zeros around the image: none; as many as make ⌈size / stride⌉ windows, an odd one more at the bottom and the right; or
        the given ones (an int: on each of the four sides).
    dilation : int or (int, int), optional
        Steps between the kernel's values on the image.
    groups : int, optional
        Cuts the channels into parts, each with ``filters / groups`` filters of its own. As many as there are channels:
        depthwise.
    bias : bool, optional
        Whether to add ``b``. Before a batch norm it has no effect: its shift does that work.
    weight_initializer, bias_initializer : Initializer or str, optional
        Glorot uniform, and zeros.
    algorithm : {"automatic", "direct", "winograd"}, optional
        How outputs, and the input's gradient, are computed: the fastest for the filters and one image, whatever the batch;
        every product of the definition; or Winograd's F(2×2, 3×3), for kernels of 3×3, strides and dilation 1, and 1 group. The
        last rounds up to 3.2 times as much at 16 channels or more (``docs/numerics.md``), and a NaN or infinity reaches all
        four values of a 2×2 tile that reads it.

    Examples
    --------
    >>> from martlet import BatchNorm, Conv2D, Flatten, Dense, ReLU, Sequential
    >>> net = Sequential(
    ...     [Conv2D(8, 3, padding="same", bias=False), BatchNorm(), ReLU(), Flatten(), Dense(10)], input_shape=(28, 28, 1)
    ... )
    >>> net.parameters()["0.weight"].shape
    (8, 1, 3, 3)

    A wide layer that computes every product of the definition:

    >>> Sequential([Conv2D(64, 3, padding="same", algorithm="direct")], input_shape=(8, 8, 64)).output_shape
    (8, 8, 64)
    """

    kind = "conv2d"

    def __init__(
        self,
        filters: int,
        kernel_size: int | Pair,
        strides: int | Pair = 1,
        padding: Any = "valid",
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        weight_initializer: Initializer | str = "glorot_uniform",
        bias_initializer: Initializer | str = "zeros",
        algorithm: str = "automatic",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.filters = _arguments.integer(filters, "filters", 1)
        self.kernel_size = as_pair(kernel_size, "kernel_size")
        self.strides = as_pair(strides, "strides")
        self.padding = as_sides(padding)
        self.dilation = as_pair(dilation, "dilation")
        self.groups = _arguments.integer(groups, "groups", 1)
        self.bias = bool(_arguments.flag(bias, "bias"))
        self.weight_initializer = as_initializer(weight_initializer, "weight_initializer")
        self.bias_initializer = as_initializer(bias_initializer, "bias_initializer")
        _arguments.one_of(algorithm, "algorithm", ALGORITHMS)
        self.algorithm = algorithm
        self._arguments = _shown(self)

    def _shown_first(self) -> tuple[str, ...]:
        return ("filters", "kernel_size")

    def _add(self, graph: Graph, name: str, *nodes: int) -> int:
        options = _options(self, self.strides, self.dilation)
        options.algorithm = ALGORITHMS[self.algorithm]
        return graph.add("conv2d", name, *nodes, self.filters, *self.kernel_size, ctypes.byref(options))


class Conv1D(Layer):
    """Convolution over sequences ``[rows, length, channels]``.

    ::

        y[t, o] = Σ x[t·stride + i·dilation − pad, c] · W[o, c, i] + b[o]

    Its tensors are ``weight`` ``[filters, channels / groups, kernel_size]`` and ``bias`` ``[filters]``, as in PyTorch.

    Parameters
    ----------
    filters, kernel_size, strides, dilation, groups : int
        As of :class:`Conv2D`.
    padding : {"valid", "same"}, int or (left, right), optional
    bias, weight_initializer, bias_initializer : optional
        As of :class:`Conv2D`.

    Examples
    --------
    >>> from martlet import Conv1D, Sequential
    >>> Sequential([Conv1D(8, 3, strides=2, padding="same")], input_shape=(100, 4)).output_shape
    (50, 8)
    """

    kind = "conv1d"

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        padding: Any = "valid",
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        weight_initializer: Initializer | str = "glorot_uniform",
        bias_initializer: Initializer | str = "zeros",
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.filters = _arguments.integer(filters, "filters", 1)
        self.kernel_size = _arguments.integer(kernel_size, "kernel_size", 1)
        self.strides = _arguments.integer(strides, "strides", 1)
        self.padding = as_sequence_padding(padding)
        self.dilation = _arguments.integer(dilation, "dilation", 1)
        self.groups = _arguments.integer(groups, "groups", 1)
        self.bias = bool(_arguments.flag(bias, "bias"))
        self.weight_initializer = as_initializer(weight_initializer, "weight_initializer")
        self.bias_initializer = as_initializer(bias_initializer, "bias_initializer")
        self._arguments = _shown(self)

    def _shown_first(self) -> tuple[str, ...]:
        return ("filters", "kernel_size")

    def _add(self, graph: Graph, name: str, *nodes: int) -> int:
        options = _options(self, (1, self.strides), (1, self.dilation))
        return graph.add("conv1d", name, *nodes, self.filters, self.kernel_size, ctypes.byref(options))


def _shown(layer: Conv2D | Conv1D) -> dict[str, Any]:
    """The arguments that are not at their defaults."""
    shown: dict[str, Any] = {"filters": layer.filters, "kernel_size": shown_pair(layer.kernel_size)}
    defaults: dict[str, Any] = {"strides": 1, "padding": "valid", "dilation": 1, "groups": 1, "bias": True}
    for key, default in defaults.items():
        value = getattr(layer, key)
        value = value if key == "padding" else shown_pair(value)
        if value != default:
            shown[key] = value
    for key, kind in (("weight_initializer", "glorot_uniform"), ("bias_initializer", "zeros")):
        if getattr(layer, key).kind != kind:
            shown[key] = getattr(layer, key)
    if isinstance(layer, Conv2D) and layer.algorithm != "automatic":
        shown["algorithm"] = layer.algorithm
    return shown


def _options(layer: Conv2D | Conv1D, strides: Pair, dilation: Pair) -> _abi.martlet_convolution_options:
    options: _abi.martlet_convolution_options = _abi.sized(
        _abi.martlet_convolution_options,
        strides=strides,
        dilation=dilation,
        groups=layer.groups,
        bias=int(layer.bias),
        weight_initializer=layer.weight_initializer._struct(),
        bias_initializer=layer.bias_initializer._struct(),
        **padding_fields(layer.padding),
    )
    return options
