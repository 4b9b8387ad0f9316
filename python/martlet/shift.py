"""How the inputs of layers move while a network trains: internal covariate shift, recorded."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _abi, _arguments
from ._array import describe_all, describe_targets
from ._errors import InvalidArgumentError, InvalidStateError
from ._handle import Handle, Owner
from ._library import library
from ._tensors import names, text_of
from .functional import LOSSES
from .layers import Layer

if TYPE_CHECKING:
    from ._array import Arrays, Described
    from .model import Model
    from .training import Event, Result, Trainer


class Record(NamedTuple):
    """What was recorded of one layer at one time."""

    #: Updates done before.
    step: int
    layer: str
    #: Of the layer's inputs.
    mean: float
    #: Their standard deviation (divided by n).
    deviation: float
    #: One for each of :attr:`ShiftRecorder.percentiles`.
    percentiles: tuple[float, ...]
    #: ``‖G − G'‖₂`` of the update that followed; NaN where it was not measured.
    gradient_change: float
    #: The cosine between ``G`` and ``G'``; NaN where it was not measured, or one of them is 0.
    gradient_cosine: float


class ShiftRecorder(Handle):
    """Records, as a network trains, how the inputs of layers are distributed, and how updates before them turn their gradients.

    Percentiles, mean and deviation are over all values of the layer's inputs (or those of one channel) on a probe batch in
    training: the layers before normalise with the batch's own statistics. This is figure 1 of Ioffe & Szegedy 2015.

    The change of the gradient is definition 2.1 of Santurkar et al. 2018, on the training batch ``(x, y)`` of the update: ::

        G  = gradient of the loss by layer i's parameters,            all parameters as before the update
        G' = the same,  the layers that layer i depends on updated,   all others as before
        gradient_change = ‖G − G'‖₂

    Everything is computed on copies; training goes on as without it, to the bit. A copy's dropout drops the same elements each
    time. A record costs a copy of the model and a pass; gradients cost a copy and two passes, and as much again for each layer.

    Parameters
    ----------
    net : Model
    layers : list of str or Layer
        What to record. A layer of several inputs, or in several places, is refused.
    probe : array, or list of arrays for a model of several inputs, optional
        The batch whose activations are recorded. Without it, :meth:`step` takes each training batch itself.
    loss : {"cross_entropy", "mse", "bce"}, optional
        What the network is trained for; only the gradient's change needs it.
    percentiles : sequence of float, optional
    channel : int, optional
        One channel of the inputs instead of all values.
    every : int, optional
        Record at every so many steps.

    Examples
    --------
    >>> import numpy as np
    >>> from martlet import BatchNorm, Dense, Sequential, SGD, Sigmoid, Trainer
    >>> from martlet.shift import ShiftRecorder
    >>> rng = np.random.default_rng(0)
    >>> x, labels = rng.normal(size=(64, 4)), rng.integers(0, 2, 64)
    >>> net = Sequential([Dense(8), BatchNorm(), Sigmoid(), Dense(2)], input_shape=(4,), seed=1)
    >>> trainer, recorder = Trainer(net, optimizer=SGD(0.1)), ShiftRecorder(net, ["2", "3"], x)
    >>> for _ in range(3):
    ...     result = recorder.step(trainer, x, labels)
    >>> [(record.step, record.layer) for record in recorder.records]
    [(0, '2'), (0, '3'), (1, '2'), (1, '3'), (2, '2'), (2, '3')]

    ``trainer.fit(..., callbacks=recorder)`` records the distributions on the probe, which it needs, and no change of the
    gradient, for a callback does not see the batch: ``gradient_change`` and ``gradient_cosine`` are NaN then. :meth:`step` in
    a loop measures them.
    """

    _instead_of_pickling = "Pickle what was recorded, recorder.records"
    _assignable = frozenset({"every", "steps", "records"})

    def __init__(
        self,
        net: Model,
        layers: Sequence[str | Layer],
        probe: Arrays | None = None,
        *,
        loss: str = "cross_entropy",
        percentiles: Sequence[float] = (15, 50, 85),
        channel: int | None = None,
        every: int = 1,
    ) -> None:
        chosen = [str(layer.name) if isinstance(layer, Layer) else layer for layer in layers]
        for name in chosen:
            net.layer(name)  # the error for a layer that there is not
        numbers = [_arguments.real(number, "percentiles") for number in percentiles]
        options = _abi.sized(
            _abi.martlet_shift_options,
            percentiles=(ctypes.c_double * len(numbers))(*numbers),
            percentile_count=len(numbers),
            channel=-1 if channel is None else _arguments.integer(channel, "channel"),
            loss=_arguments.one_of(loss, "loss", LOSSES),
        )
        out = ctypes.POINTER(_abi.martlet_shift_recorder)()
        library().martlet_shift_recorder_create(
            ctypes.byref(out), net._open(), names(chosen), len(chosen), ctypes.byref(options)
        )
        self._owner = Owner(out, library().martlet_shift_recorder_destroy)
        self.net = net
        self.layers = chosen
        self.probe = probe
        self.percentiles = tuple(numbers)
        self.every = _arguments.integer(every, "every", 1)
        #: Steps done so far.
        self.steps = 0
        self.records: list[Record] = []
        self._batch: tuple[Described, Described] | None = None

    # -- while it trains --

    def step(self, trainer: Trainer, x: Arrays, y: Arrays) -> Result:
        """One step of the trainer, recorded: the distributions before it, and the change of the gradients that it made."""
        self.before_step(x, y)
        try:
            result = trainer.step(x, y)
        except BaseException:
            self._batch = None
            raise
        self.after_step()
        return result

    def before_step(self, x: Arrays, y: Arrays) -> None:
        """For loops by hand: before the update from the batch ``(x, y)``. :meth:`after_step` follows it."""
        if self.steps % self.every:
            return
        self._batch = None
        inputs, targets = self._inputs(x, "x"), describe_targets(y, self.net._output_count, "y")
        probe = None if self.probe is None else self._inputs(self.probe, "probe")
        count = 0 if probe is None else len(probe)
        library().martlet_shift_recorder_before_update(
            self._open(), self.steps, inputs, len(inputs), targets, len(targets), probe, count
        )
        self._batch = inputs, targets

    def after_step(self) -> None:
        """For loops by hand: after the update."""
        if self.steps % self.every == 0:
            if self._batch is None:
                raise InvalidStateError("after_step needs before_step first")
            inputs, targets = self._batch
            library().martlet_shift_recorder_after_update(self._open(), inputs, len(inputs), targets, len(targets))
            self._read()
        self._batch = None
        self.steps += 1

    def record(self, step: int | None = None) -> None:
        """The distributions as they are now, on the probe."""
        if self.probe is None:
            raise InvalidStateError("record needs a probe: ShiftRecorder(net, layers, probe)")
        if step is not None:
            self.steps = _arguments.integer(step, "step")
        inputs = self._inputs(self.probe, "probe")
        library().martlet_shift_recorder_record(self._open(), self.steps, inputs, len(inputs))
        self._read()

    def _inputs(self, x: Arrays, name: str) -> Described:
        return describe_all(x, self.net._input_count, name)

    def _read(self) -> None:
        """What was recorded since the last time."""
        info = _abi.sized(_abi.martlet_shift_record)
        for index in range(len(self.records), library().martlet_shift_recorder_count(self._open())):
            library().martlet_shift_recorder_at(self._open(), index, ctypes.byref(info))
            percentiles = tuple(info.percentiles[: info.percentile_count])
            self.records.append(
                Record(
                    info.step,
                    info.layer.decode(),
                    info.mean,
                    info.deviation,
                    percentiles,
                    info.gradient_change,
                    info.gradient_cosine,
                )
            )

    def __call__(self, event: Event) -> None:
        """A callback of :meth:`Trainer.fit <martlet.Trainer.fit>`: records after the steps whose number ``every`` divides.

        The distributions on the probe alone: a callback does not see the batch, so the change of the gradient is NaN.
        """
        if event.kind == "step" and event.step % self.every == 0:
            self.record(event.step)

    # -- what was recorded --

    def of(self, layer: str | Layer) -> list[Record]:
        """The records of one layer, in time."""
        name = str(layer.name) if isinstance(layer, Layer) else layer
        if name not in self.layers:
            raise InvalidArgumentError(
                f"{_arguments.shown(name)} is not recorded; recorded are {_arguments.shown(self.layers)}"
            )
        return [record for record in self.records if record.layer == name]

    @property
    def columns(self) -> list[str]:
        """The names of :meth:`rows`' values."""
        percentiles = ["p" + repr(number).removesuffix(".0") for number in self.percentiles]
        return ["step", "layer", "mean", "deviation", *percentiles, "gradient_change", "gradient_cosine"]

    def rows(self) -> list[list[Any]]:
        """The records as a table under :attr:`columns`."""
        return [[*record[:4], *record.percentiles, *record[5:]] for record in self.records]

    def save_csv(self, path: str | os.PathLike[str]) -> None:
        """Writes the table; what was not measured is left empty."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            file.write(text_of(library().martlet_shift_recorder_csv, self._open()))

    def save_json(self, path: str | os.PathLike[str]) -> None:
        """Writes a list of objects, one for each row; what was not measured is null."""
        import json

        rows = [{column: None if value != value else value for column, value in zip(self.columns, row)} for row in self.rows()]
        with open(path, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draws it with matplotlib: of each layer the percentiles and, if it was measured, the gradient's change."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        has_changes = any(record.gradient_change == record.gradient_change for record in self.records)
        columns = 2 if has_changes else 1
        size = (5 * columns, 2.4 * len(self.layers))
        figure, axes = pyplot.subplots(len(self.layers), columns, figsize=size, squeeze=False, sharex=True)
        for name, row in zip(self.layers, axes):
            records = self.of(name)
            steps = [record.step for record in records]
            for index, number in enumerate(self.percentiles):
                row[0].plot(steps, [record.percentiles[index] for record in records], label=f"{number:g} %")
            row[0].set_ylabel(f"inputs of {name}")
            changes = [record.gradient_change for record in records]
            if any(change == change for change in changes):
                row[1].plot(steps, changes)
                row[1].set_ylabel(f"change of {name}'s gradient")
            elif has_changes:
                row[1].set_axis_off()
        axes[0][0].legend(loc="best", fontsize="small")
        for axis in axes[-1]:
            axis.set_xlabel("step")
        figure.tight_layout()
        figure.savefig(path)
        pyplot.close(figure)
