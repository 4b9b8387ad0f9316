"""The batch normalisation layer and its switches."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

from . import _abi, _arguments
from ._errors import InvalidArgumentError
from ._library import library
from .graph import Graph, Node
from .layers import Layer

_SOURCES = {"batch": _abi.NORMALIZE_WITH_BATCH, "moving": _abi.NORMALIZE_WITH_MOVING}
_SOURCE_NAMES = {code: name for name, code in _SOURCES.items()}
_SINGLE_VALUES = {
    "error": _abi.SINGLE_VALUE_ERROR,
    "moving": _abi.SINGLE_VALUE_MOVING,
    "skip": _abi.SINGLE_VALUE_SKIP,
}


class BatchRenormalization:
    """How far :class:`BatchNorm` corrects a batch's normalisation towards that of inference while training.

    ::

        y = scale · ((x − mean)/σ·r + d) + shift          σ² = variance + epsilon, of the batch
        r = σ/σ_moving, within 1/r_max … r_max            d = (mean − mean_moving)/σ_moving, within ±d_max

    For small batches, or batches whose rows are alike: training sees nearly what inference computes. The limits are 1 and 0
    (plain batch norm) up to the begin of their ramp, and rise linearly to ``r_max`` and ``d_max`` at its end; r and d are
    constants to the gradient. The defaults are the paper's. Source: Ioffe 2017.

    Parameters
    ----------
    r_max : float, optional
        1 or more.
    d_max : float, optional
        0 or more.
    r_ramp, d_ramp : pair of int, optional
        Begin and end, in batches that the moving statistics have followed.

    Examples
    --------
    >>> from martlet import BatchNorm, BatchRenormalization
    >>> BatchNorm(renormalization=BatchRenormalization(r_max=2.0, r_ramp=(100, 500), d_ramp=(100, 300)))
    BatchNorm(renormalization=BatchRenormalization(r_max=2.0, d_max=5.0, r_ramp=(100, 500), d_ramp=(100, 300)))
    """

    def __init__(
        self,
        r_max: float = 3.0,
        d_max: float = 5.0,
        r_ramp: tuple[int, int] = (5000, 40000),
        d_ramp: tuple[int, int] = (5000, 25000),
    ) -> None:
        self.r_max = _arguments.real(r_max, "r_max")
        self.d_max = _arguments.real(d_max, "d_max")
        self.r_ramp = _ramp(r_ramp, "r_ramp")
        self.d_ramp = _ramp(d_ramp, "d_ramp")

    def __repr__(self) -> str:
        limits = f"r_max={self.r_max}, d_max={self.d_max}, r_ramp={self.r_ramp}, d_ramp={self.d_ramp}"
        return f"BatchRenormalization({limits})"

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if isinstance(other, BatchRenormalization) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.r_max, self.d_max, self.r_ramp, self.d_ramp))

    def _fields(self) -> _abi.martlet_batch_renormalization:
        (r_begin, r_end), (d_begin, d_end) = self.r_ramp, self.d_ramp
        return _abi.martlet_batch_renormalization(1, 0, self.r_max, self.d_max, r_begin, r_end, d_begin, d_end)


def _ramp(value: Any, name: str) -> tuple[int, int]:
    """Begin and end, whole numbers; their order is the library's to check."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise InvalidArgumentError(f"{name} must be a pair (begin, end) of numbers of batches; got {_arguments.shown(value)}")
    begin, end = (_arguments.integer(part, f"{name}[{place}]") for place, part in enumerate(value))
    return begin, end


def _renormalization(value: Any) -> BatchRenormalization | None:
    """None, an object, or its fields as files have them."""
    if value is None or isinstance(value, BatchRenormalization):
        return value
    if isinstance(value, Mapping) and set(value) <= set(vars(BatchRenormalization())):
        return BatchRenormalization(**value)
    raise InvalidArgumentError(f"renormalization must be a BatchRenormalization or None; got {_arguments.shown(value)}")


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
    debiased : bool, optional
        Whether the moving statistics weigh the batches alone, and forget the 0 and 1 they start with at the first one. With
        ``momentum=None`` they do so anyway.
    single_value : {"error", "moving", "skip"}, optional
        What becomes of a batch in training with one value a channel, which has no variance. ``"error"`` refuses it, with
        advice. ``"moving"``: the moving statistics normalise it and do not follow it (it is counted as skipped). ``"skip"``:
        the same, and the layer learns nothing of it: its scale and shift get no gradient of that batch; layers before do.
    virtual_batch_size : int or None, optional
        Training takes statistics over so many consecutive rows at a time ("ghost batches"), each like a batch of its own, which
        the moving statistics follow one after the other. What is left has fewer rows, or joins the one before it where it has
        one value a channel. ``None``: the whole batch.
    renormalization : BatchRenormalization or None, optional
        Corrects a batch's normalisation towards that of inference.

    Notes
    -----
    ``layer(x, weights=w)`` in a graph says how often each position counts in the statistics; see :meth:`__call__`.

    ``normalize_with``, ``updates_moving`` and ``trains_scale_shift`` are switches: after a model is made of the layer, setting
    the properties of the same names takes effect at once, and they are saved with the model.

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

    Two rows at a time, and statistics that forget what they started with:

    >>> net = Sequential([BatchNorm(virtual_batch_size=2, debiased=True)], input_shape=(1,))
    >>> net.forward(np.array([[1.0], [3.0], [10.0], [40.0]]), training=True).round(3)
    array([[-1.],
           [ 1.],
           [-1.],
           [ 1.]], dtype=float32)
    >>> net.state_dict()["0.running_mean"].round(3)  # (0.9 · 2 + 25) / 1.9
    array([14.105], dtype=float32)
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
        debiased: bool = False,
        single_value: str = "error",
        virtual_batch_size: int | None = None,
        renormalization: BatchRenormalization | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        self.momentum = None if momentum is None else _arguments.real(momentum, "momentum")
        self.epsilon = _arguments.real(epsilon, "epsilon")
        self.scale = bool(_arguments.flag(scale, "scale"))
        self.shift = bool(_arguments.flag(shift, "shift"))
        self.biased_moving_variance = bool(_arguments.flag(biased_moving_variance, "biased_moving_variance"))
        self.count_nonfinite_batches = bool(_arguments.flag(count_nonfinite_batches, "count_nonfinite_batches"))
        self.debiased = bool(_arguments.flag(debiased, "debiased"))
        self.single_value = single_value
        self.virtual_batch_size = (
            None if virtual_batch_size is None else _arguments.integer(virtual_batch_size, "virtual_batch_size", 1)
        )
        self.renormalization = _renormalization(renormalization)
        self._variants: dict[str, Any] = {
            "debiased": int(self.debiased),
            "single_value": _arguments.one_of(single_value, "single_value", _SINGLE_VALUES),
            "virtual_batch_size": self.virtual_batch_size or 0,
        }
        if self.renormalization is not None:
            self._variants["renormalization"] = self.renormalization._fields()
        self._switches = {
            "normalize_with": _arguments.one_of(normalize_with, "normalize_with", _SOURCES),
            "updates_moving": _arguments.flag(updates_moving, "updates_moving"),
            "trains_scale_shift": _arguments.flag(trains_scale_shift, "trains_scale_shift"),
        }
        given: dict[str, Any] = {"momentum": momentum, "epsilon": epsilon, "scale": scale, "shift": shift}
        given["biased_moving_variance"] = biased_moving_variance
        given["count_nonfinite_batches"] = count_nonfinite_batches
        given["debiased"] = debiased
        given["single_value"] = single_value
        given["virtual_batch_size"] = virtual_batch_size
        given["renormalization"] = self.renormalization
        defaults: dict[str, Any] = {"momentum": 0.9, "epsilon": 1e-5, "scale": True, "shift": True, "single_value": "error"}
        defaults["virtual_batch_size"] = defaults["renormalization"] = None
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
            **self._variants,
            **self._switches,
        )
        kind = "batch_norm" if len(nodes) == 1 else "weighted_batch_norm"
        return graph.add(kind, name, *nodes, ctypes.byref(options))

    def __call__(self, x: Node, weights: Node | None = None) -> Node:
        """This layer applied to a node: a new node.

        Parameters
        ----------
        weights : Node, optional
            How often each position counts in a training batch's statistics: rows ``(...,)`` or ``(..., 1)`` beside rows
            ``(..., channels)`` of ``x``. Mostly a mask: 1, and 0 for padding, which may hold anything finite. With weights w of
            sum n ``mean = Σ w·x / n`` and ``variance = Σ w·(x − mean)² / n`` (n/(n−1) times that for the moving variance), as
            if a position of weight 2 came twice. What is not above 0 counts as 0.

            Every position is normalised, whatever its weight. n below 2 is one value a channel: ``single_value`` says what
            becomes of it (``"error"`` means ``"moving"`` then, for it shows only as the batch runs); n = 0 is an empty batch,
            which changes nothing. Inference does not look at the weights; the gradient by them is 0.

        Examples
        --------
        >>> import numpy as np
        >>> from martlet import BatchNorm, Input, Model
        >>> x, mask = Input((3, 1)), Input((3,))
        >>> net = Model([x, mask], BatchNorm()(x, weights=mask))
        >>> y = net.forward([np.array([[[1.0], [3.0], [9.0]]]), np.array([[1.0, 1.0, 0.0]])], training=True)
        >>> y[0, :, 0].round(3)
        array([-1.,  1.,  7.], dtype=float32)
        """
        if weights is None:
            return super().__call__(x)
        if not isinstance(weights, Node):
            raise InvalidArgumentError(f"weights must be an Input or another layer's result; got a {type(weights).__name__}")
        return Node(self, (*super().__call__(x).parents, weights))

    def __getstate__(self) -> dict[str, Any]:
        model = None if self._model is None else self._model()
        if model is not None and not model.closed:
            self._read()  # a copy has the switches as they are now
        return super().__getstate__()

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
