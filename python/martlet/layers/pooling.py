"""Pooling over images and sequences: what stays of each window."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from .. import _abi, _arguments
from ._windows import Pair, as_pair, as_sequence_padding, as_sides, padding_fields, shown_pair
from .base import Layer

if TYPE_CHECKING:
    from ..graph import Graph


class _Pool(Layer):
    """A pooling on images, or with ``_sequences`` on sequences."""

    _sequences = False

    def __init__(self, size: Any, strides: Any, padding: Any, name: str | None) -> None:
        super().__init__(name)
        if self._sequences:
            self.size: Any = _arguments.integer(size, "size", 1)
            self.strides: Any = self.size if strides is None else _arguments.integer(strides, "strides", 1)
            self.padding: Any = as_sequence_padding(padding)
        else:
            self.size = as_pair(size, "size")
            self.strides = self.size if strides is None else as_pair(strides, "strides")
            self.padding = as_sides(padding)
        self._arguments = {"size": shown_pair(self.size)}
        if self.strides != self.size:
            self._arguments["strides"] = shown_pair(self.strides)
        if self.padding != "valid":
            self._arguments["padding"] = self.padding

    def _shown_first(self) -> tuple[str, ...]:
        return ("size",)

    def _add(self, graph: Graph, name: str, *nodes: int) -> int:
        size = (self.size,) if self._sequences else self.size
        options = _abi.sized(
            _abi.martlet_pooling_options,
            strides=(0, self.strides) if self._sequences else self.strides,
            count_includes_pad=int(getattr(self, "count_includes_pad", False)),
            **padding_fields(self.padding),
        )
        return graph.add(self.kind, name, *nodes, *size, ctypes.byref(options))


class MaxPool2D(_Pool):
    """The largest value of each window of images ``[rows, height, width, channels]``, channel by channel.

    Parameters
    ----------
    size : int or (int, int)
        The window's height and width.
    strides : int or (int, int), optional
        The window's size, if left out.
    padding : {"valid", "same"}, int or ((top, bottom), (left, right)), optional
        Around the image, less than the window; it does not count.

    Examples
    --------
    >>> from martlet import MaxPool2D, Sequential
    >>> Sequential([MaxPool2D(3, 2, padding=1)], input_shape=(112, 112, 64)).output_shape
    (56, 56, 64)
    """

    kind = "max_pool2d"

    def __init__(
        self, size: int | Pair, strides: int | Pair | None = None, padding: Any = "valid", *, name: str | None = None
    ) -> None:
        super().__init__(size, strides, padding, name)


class MaxPool1D(_Pool):
    """The largest value of each window of sequences ``[rows, length, channels]``, channel by channel.

    Parameters
    ----------
    size : int
    strides : int, optional
        ``size``, if left out.
    padding : {"valid", "same"}, int or (left, right), optional
    """

    kind = "max_pool1d"
    _sequences = True

    def __init__(self, size: int, strides: int | None = None, padding: Any = "valid", *, name: str | None = None) -> None:
        super().__init__(size, strides, padding, name)


class _AvgPool(_Pool):
    def __init__(self, size: Any, strides: Any, padding: Any, count_includes_pad: bool, name: str | None) -> None:
        super().__init__(size, strides, padding, name)
        self.count_includes_pad = bool(_arguments.flag(count_includes_pad, "count_includes_pad"))
        if self.count_includes_pad:
            self._arguments["count_includes_pad"] = True


class AvgPool2D(_AvgPool):
    """The mean of each window of images ``[rows, height, width, channels]``, channel by channel.

    Parameters
    ----------
    size, strides, padding
        As of :class:`MaxPool2D`.
    count_includes_pad : bool, optional
        Whether to divide by the window's whole size, as PyTorch does by default, instead of by the values in the image.
    """

    kind = "avg_pool2d"

    def __init__(
        self,
        size: int | Pair,
        strides: int | Pair | None = None,
        padding: Any = "valid",
        count_includes_pad: bool = False,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(size, strides, padding, count_includes_pad, name)


class AvgPool1D(_AvgPool):
    """The mean of each window of sequences ``[rows, length, channels]``, channel by channel.

    Parameters
    ----------
    size, strides, padding
        As of :class:`MaxPool1D`.
    count_includes_pad : bool, optional
        As of :class:`AvgPool2D`.
    """

    kind = "avg_pool1d"
    _sequences = True

    def __init__(
        self,
        size: int,
        strides: int | None = None,
        padding: Any = "valid",
        count_includes_pad: bool = False,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(size, strides, padding, count_includes_pad, name)


class GlobalAvgPool2D(Layer):
    """The mean of each channel over the whole image: ``[rows, height, width, channels]`` to ``[rows, channels]``."""

    kind = "global_avg_pool2d"


class GlobalAvgPool1D(Layer):
    """The mean of each channel over the whole sequence: ``[rows, length, channels]`` to ``[rows, channels]``."""

    kind = "global_avg_pool1d"
