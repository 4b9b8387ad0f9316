"""The batch normalisation layer and its switches."""

from __future__ import annotations

import ctypes
from typing import Any

from . import _abi, _arguments
from ._library import library
from .graph import Graph
from .layers import Layer

_SOURCES = {"batch": _abi.NORMALIZE_WITH_BATCH, "moving": _abi.NORMALIZE_WITH_MOVING}
_SOURCE_NAMES = {code: name for name, code in _SOURCES.items()}


class BatchNorm(Layer):
    """Normalises each channel (the last axis) over the rest of the batch.

    ::

        y = scale · (x − mean) / √(variance + epsilon) + shift      one of each per channel

    While training, mean and (biased) variance are the mini-batch's own; at inference they are the moving ones, or the exact
    ones of a data set after :meth:`Model.update_population_statistics`. Its tensors are ``weight`` (the scale, starts at 1),
    ``bias`` (the shift, 0), ``running_mean`` (0), ``running_var`` (1), ``num_batches_tracked`` and ``num_batches_skipped``.
    Source: Ioffe & Szegedy 2015.

    Parameters
    ----------
    momentum : float or None, optional
        Weight of the *previous* moving statistic, 0 to 1: ``moving = momentum · moving + (1 − momentum) · batch``. This is one
        minus PyTorch's ``momentum``. ``None`` keeps the plain average of all batches.
    epsilon : float, optional
        Above 0.
    scale, shift : bool, optional
        Whether to learn them.
    biased_moving_variance : bool, optional
        Whether the moving variance takes the batch variance as it is, not n/(n−1) times it.
    count_nonfinite_batches : bool, optional
        Whether a batch with a NaN or infinity enters the moving statistics like any other. By default it is skipped and
        counted.
    normalize_with : {"batch", "moving"}, optional
        What normalises while training.
    updates_moving : bool, optional
        Whether training moves the moving statistics.
    trains_scale_shift : bool, optional
        Whether training changes scale and shift.

    Notes
    -----
    Training needs 2 or more values a channel. The last three arguments are switches: after a model is made of the layer,
    setting the properties of the same names takes effect at once, and they are saved with the model.

    Examples
    --------
    >>> import numpy as np
    >>> from martlet import BatchNorm, Sequential
    >>> net = Sequential([BatchNorm()], input_shape=(1,))
    >>> net.forward(np.array([[1.0], [3.0]]), training=True).round(3)
    array([[-1.],
           [ 1.]], dtype=float32)
    >>> net.state_dict()["0.running_mean"].round(3)
    array([0.2], dtype=float32)
    """

    kind = "batch_norm"

    def __init__(
        self,
        momentum: float | None = 0.9,
        epsilon: float = 1e-5,
        scale: bool = True,
        shift: bool = True,
        *,
        biased_moving_variance: bool = False,
        count_nonfinite_batches: bool = False,
        normalize_with: str = "batch",
        updates_moving: bool = True,
        trains_scale_shift: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.momentum = None if momentum is None else _arguments.real(momentum, "momentum")
        self.epsilon = _arguments.real(epsilon, "epsilon")
        self.scale = bool(_arguments.flag(scale, "scale"))
        self.shift = bool(_arguments.flag(shift, "shift"))
        self.biased_moving_variance = bool(_arguments.flag(biased_moving_variance, "biased_moving_variance"))
        self.count_nonfinite_batches = bool(_arguments.flag(count_nonfinite_batches, "count_nonfinite_batches"))
        self._switches = {
            "normalize_with": _arguments.one_of(normalize_with, "normalize_with", _SOURCES),
            "updates_moving": _arguments.flag(updates_moving, "updates_moving"),
            "trains_scale_shift": _arguments.flag(trains_scale_shift, "trains_scale_shift"),
        }
        given: dict[str, Any] = {"momentum": momentum, "epsilon": epsilon, "scale": scale, "shift": shift}
        given["biased_moving_variance"] = biased_moving_variance
        given["count_nonfinite_batches"] = count_nonfinite_batches
        defaults = {"momentum": 0.9, "epsilon": 1e-5, "scale": True, "shift": True}
        self._arguments = {key: value for key, value in given.items() if value != defaults.get(key, False)}

    def _add(self, graph: Graph, name: str, *nodes: int) -> int:
        options = _abi.sized(
            _abi.martlet_batch_norm_options,
            epsilon=self.epsilon,
            momentum=0.9 if self.momentum is None else self.momentum,
            cumulative=int(self.momentum is None),
            scale=int(self.scale),
            shift=int(self.shift),
            biased_moving_variance=int(self.biased_moving_variance),
            count_nonfinite_batches=int(self.count_nonfinite_batches),
            **self._switches,
        )
        return graph.add("batch_norm", name, *nodes, ctypes.byref(options))

    # -- switches --

    def _read(self) -> dict[str, int]:
        if self._model is not None:
            now = _abi.sized(_abi.martlet_batch_norm_switches)
            library().martlet_model_batch_norm_switches(self.model._open(), str(self.name).encode(), ctypes.byref(now))
            self._switches = {key: getattr(now, key) for key in self._switches}
        return self._switches

    def _write(self, **changes: int) -> None:
        wanted = {**self._read(), **changes}
        if self._model is not None:
            switches = _abi.sized(_abi.martlet_batch_norm_switches, **wanted)
            library().martlet_model_set_batch_norm_switches(self.model._open(), str(self.name).encode(), ctypes.byref(switches))
        self._switches = wanted

    @property
    def normalize_with(self) -> str:
        """What normalises while training: the mini-batch's own statistics (``"batch"``) or the ``"moving"`` ones."""
        return _SOURCE_NAMES[self._read()["normalize_with"]]

    @normalize_with.setter
    def normalize_with(self, value: str) -> None:
        self._write(normalize_with=_arguments.one_of(value, "normalize_with", _SOURCES))

    @property
    def updates_moving(self) -> bool:
        """Whether training moves the moving statistics."""
        return bool(self._read()["updates_moving"])

    @updates_moving.setter
    def updates_moving(self, value: bool) -> None:
        self._write(updates_moving=_arguments.flag(value, "updates_moving"))

    @property
    def trains_scale_shift(self) -> bool:
        """Whether training changes scale and shift."""
        return bool(self._read()["trains_scale_shift"])

    @trains_scale_shift.setter
    def trains_scale_shift(self, value: bool) -> None:
        self._write(trains_scale_shift=_arguments.flag(value, "trains_scale_shift"))

    def freeze(self) -> None:
        """Makes training treat the layer as inference does: moving statistics normalise, and nothing of it changes."""
        self._write(normalize_with=_abi.NORMALIZE_WITH_MOVING, updates_moving=0, trains_scale_shift=0)

    def unfreeze(self) -> None:
        """Undoes :meth:`freeze`: all three switches at their defaults."""
        self._write(normalize_with=_abi.NORMALIZE_WITH_BATCH, updates_moving=1, trains_scale_shift=1)
