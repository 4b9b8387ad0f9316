"""Batch norm's relatives: each sample is normalised by itself, the same in training and at inference."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from .. import _abi, _arguments
from .base import Layer

if TYPE_CHECKING:
    from ..graph import Graph

OVER = {"last": _abi.OVER_LAST, "all": _abi.OVER_ALL}


class _Normalization(Layer):
    """What they have in common: one function of the library, told apart by its options."""

    _options: dict[str, Any]

    def _set(self, number: int, defaults: dict[str, Any], given: dict[str, Any], **others: int) -> None:
        """Keeps the arguments, checked: ``epsilon`` a number, everything else in ``given`` a flag."""
        self._options = {"kind": number, **others}
        for key, value in given.items():
            checked = _arguments.real(value, key) if key == "epsilon" else bool(_arguments.flag(value, key))
            setattr(self, key, checked)
            self._options["learn_epsilon" if key == "learns_epsilon" else key] = checked
        self._arguments = {key: value for key, value in given.items() if value != defaults[key]}

    def _add(self, graph: Graph, name: str, *nodes: int) -> int:
        options = _abi.sized(_abi.martlet_normalization_options, **self._options)
        return graph.add("normalization", name, *nodes, ctypes.byref(options))


class LayerNorm(_Normalization):
    """Normalises each position of each sample over its channels, or each whole sample.

    ::

        y = scale · (x − mean) / √(variance + epsilon) + shift

    Tensors: ``weight`` (the scale, starts at 1), ``bias`` (the shift, 0), of the shape that is normalised over: ``[C]``, or a
    whole row's. Source: Ba, Kiros & Hinton 2016.

    Parameters
    ----------
    epsilon : float, optional
        Above 0.
    over : {"last", "all"}, optional
        What a mean is taken over: the last axis, or all axes but the batch's.
    scale, shift : bool, optional
        Whether to learn them.

    Examples
    --------
    >>> import numpy as np
    >>> from martlet import LayerNorm, Sequential
    >>> net = Sequential([LayerNorm()], input_shape=(2,))
    >>> net(np.array([[1.0, 3.0], [10.0, 50.0]], np.float32)).round(3)
    array([[-1.,  1.],
           [-1.,  1.]], dtype=float32)
    """

    kind = "layer_norm"

    def __init__(
        self,
        epsilon: float = 1e-5,
        over: str = "last",
        scale: bool = True,
        shift: bool = True,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.over = over
        given = {"epsilon": epsilon, "scale": scale, "shift": shift}
        code = _arguments.one_of(over, "over", OVER)
        self._set(_abi.LAYER_NORM, {"epsilon": 1e-5, "scale": True, "shift": True}, given, over=code)
        if over != "last":
            self._arguments["over"] = over


class RMSNorm(_Normalization):
    """Divides each position of each sample by the root of its mean square over the channels.

    ::

        y = scale · x / √(mean(x²) + epsilon)

    Tensor: ``weight`` (the scale, ``[C]``, starts at 1). Source: Zhang & Sennrich 2019.

    Parameters
    ----------
    epsilon : float, optional
        Above 0. (PyTorch's default is the step from 1 to the next float32, 1.2e-7.)
    scale : bool, optional
        Whether to learn it.

    Examples
    --------
    >>> import numpy as np
    >>> from martlet import RMSNorm, Sequential
    >>> Sequential([RMSNorm()], input_shape=(2,))(np.array([[1.0, 7.0]], np.float32)).round(3)
    array([[0.2, 1.4]], dtype=float32)
    """

    kind = "rms_norm"

    def __init__(self, epsilon: float = 1e-6, scale: bool = True, *, name: str | None = None) -> None:
        super().__init__(name)
        self._set(_abi.RMS_NORM, {"epsilon": 1e-6, "scale": True}, {"epsilon": epsilon, "scale": scale})


class GroupNorm(_Normalization):
    """Normalises groups of neighbouring channels of each sample, over the group and all positions.

    ::

        y = scale · (x − mean) / √(variance + epsilon) + shift        one mean and variance per sample and group

    Tensors: ``weight`` (the scale, starts at 1), ``bias`` (the shift, 0), ``[C]``. Source: Wu & He 2018.

    Parameters
    ----------
    groups : int
        Divides the channels, with two or more values in each group.
    epsilon : float, optional
        Above 0.
    scale, shift : bool, optional
        Whether to learn them.

    Examples
    --------
    >>> import numpy as np
    >>> from martlet import GroupNorm, Sequential
    >>> net = Sequential([GroupNorm(2)], input_shape=(4,))
    >>> net(np.array([[1.0, 3.0, 10.0, 50.0]], np.float32)).round(3)
    array([[-1.,  1., -1.,  1.]], dtype=float32)
    """

    kind = "group_norm"

    def __init__(
        self,
        groups: int,
        epsilon: float = 1e-5,
        scale: bool = True,
        shift: bool = True,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.groups = _arguments.integer(groups, "groups", 1)
        given = {"epsilon": epsilon, "scale": scale, "shift": shift}
        self._set(_abi.GROUP_NORM, {"epsilon": 1e-5, "scale": True, "shift": True}, given, groups=self.groups)
        self._arguments = {"groups": self.groups, **self._arguments}

    def _shown_first(self) -> tuple[str, ...]:
        return ("groups",)


class InstanceNorm(_Normalization):
    """Normalises each channel of each sample over its positions.

    ::

        y = scale · (x − mean) / √(variance + epsilon) + shift        one mean and variance per sample and channel

    :class:`GroupNorm` with a group for each channel. As in PyTorch, scale and shift are off unless asked for. There are no
    running statistics: training and inference both use the sample's own. Source: Ulyanov, Vedaldi & Lempitsky 2016.

    Parameters
    ----------
    epsilon : float, optional
        Above 0.
    scale, shift : bool, optional
        Whether to learn them.

    Notes
    -----
    An image of one pixel has nothing to normalise, which is an error.

    Examples
    --------
    >>> import numpy as np
    >>> from martlet import InstanceNorm, Sequential
    >>> net = Sequential([InstanceNorm()], input_shape=(2, 1))
    >>> net(np.array([[[1.0], [3.0]]], np.float32)).round(3)
    array([[[-1.],
            [ 1.]]], dtype=float32)
    """

    kind = "instance_norm"

    def __init__(self, epsilon: float = 1e-5, scale: bool = False, shift: bool = False, *, name: str | None = None) -> None:
        super().__init__(name)
        given = {"epsilon": epsilon, "scale": scale, "shift": shift}
        self._set(_abi.INSTANCE_NORM, {"epsilon": 1e-5, "scale": False, "shift": False}, given)


class FilterResponseNorm(_Normalization):
    """Filter response normalisation with its thresholded linear unit: normalisation and activation in one layer.

    ::

        ν² = mean(x²) over the positions      z = scale · x / √(ν² + ε) + shift      y = max(z, threshold)

    for each channel of each sample; ε is ``epsilon``, plus ``|e|`` with one learned e a channel if ``learns_epsilon``. No ReLU
    belongs behind it. Tensors, ``[C]`` each: ``weight`` (the scale, starts at 1), ``bias`` (the shift, 0), ``threshold`` (0),
    ``learned_epsilon`` (1e-4). Source: Singh & Krishnan 2020.

    Parameters
    ----------
    epsilon : float, optional
        Above 0.
    scale, shift : bool, optional
        Whether to learn them.
    threshold : bool, optional
        Whether to learn one; else nothing is cut off.
    learns_epsilon : bool, optional
        Whether to learn what is added to ``epsilon``, for activations of one or few positions.

    Examples
    --------
    >>> import numpy as np
    >>> from martlet import FilterResponseNorm, Sequential
    >>> net = Sequential([FilterResponseNorm()], input_shape=(2, 1))
    >>> net(np.array([[[-1.0], [7.0]]], np.float32)).round(3)
    array([[[0. ],
            [1.4]]], dtype=float32)
    """

    kind = "filter_response_norm"

    def __init__(
        self,
        epsilon: float = 1e-6,
        scale: bool = True,
        shift: bool = True,
        threshold: bool = True,
        learns_epsilon: bool = False,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        given = {"epsilon": epsilon, "scale": scale, "shift": shift, "threshold": threshold, "learns_epsilon": learns_epsilon}
        defaults = {"epsilon": 1e-6, "scale": True, "shift": True, "threshold": True, "learns_epsilon": False}
        self._set(_abi.FILTER_RESPONSE_NORM, defaults, given)
