"""How the inputs of layers move while a network trains: internal covariate shift, recorded."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _arguments
from ._errors import InvalidArgumentError, InvalidStateError
from .functional import LOSSES
from .functional import loss as loss_of
from .layers import Layer

if TYPE_CHECKING:
    from ._array import Array, Arrays
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


class ShiftRecorder:
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

    In a fit, the distributions alone: ``trainer.fit(..., callbacks=recorder)``.
    """

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
        _arguments.one_of(loss, "loss", LOSSES)
        self.net = net
        self.loss = loss
        self.probe = probe
        self.percentiles = tuple(_arguments.real(number, "percentiles") for number in percentiles)
        if not all(0 <= number <= 100 for number in self.percentiles):
            raise InvalidArgumentError(f"percentiles must be in 0...100; got {self.percentiles}")
        self.channel = None if channel is None else _arguments.integer(channel, "channel")
        self.every = _arguments.integer(every, "every", 1)
        names = [str(layer.name) if isinstance(layer, Layer) else layer for layer in layers]
        graph = _Graph(net)
        self._places = {name: graph.place(name) for name in names}
        if not names:
            raise InvalidArgumentError("layers must name at least one layer")
        self._loss_layer = graph.loss_layer(loss)
        self.steps = 0
        self.records: list[Record] = []
        self._before: tuple[Model, Any, Any] | None = None

    # -- while it trains --

    def step(self, trainer: Trainer, x: Arrays, y: Arrays) -> Result:
        """One step of the trainer, recorded: the distributions before it, and the change of the gradients that it made."""
        self.before_step(x, y)
        try:
            result = trainer.step(x, y)
        except BaseException:
            self._before = None
            raise
        self.after_step()
        return result

    def before_step(self, x: Arrays, y: Arrays) -> None:
        """For loops by hand: before the update from the batch ``(x, y)``. :meth:`after_step` follows it."""
        self._before = (self.net.clone(), x, y) if self.steps % self.every == 0 else None

    def after_step(self) -> None:
        """For loops by hand: after the update."""
        if self._before is None:
            if self.steps % self.every == 0:
                raise InvalidStateError("after_step needs before_step first")
        else:
            before, x, y = self._before
            changes = self._gradient_changes(before, x, y)
            self._record(before, x if self.probe is None else self.probe, changes)
        self._before = None
        self.steps += 1

    def record(self, step: int | None = None) -> None:
        """The distributions as they are now, on the probe."""
        if self.probe is None:
            raise InvalidStateError("record needs a probe: ShiftRecorder(net, layers, probe)")
        if step is not None:
            self.steps = _arguments.integer(step, "step")
        self._record(self.net.clone(), self.probe, {})

    def __call__(self, event: Event) -> None:
        """A callback of :meth:`Trainer.fit <martlet.Trainer.fit>`: records after the steps whose number ``every`` divides."""
        if event.kind == "step" and event.step % self.every == 0:
            self.record(event.step)

    # -- what was recorded --

    def of(self, layer: str | Layer) -> list[Record]:
        """The records of one layer, in time."""
        name = str(layer.name) if isinstance(layer, Layer) else layer
        if name not in self._places:
            raise InvalidArgumentError(f"{name!r} is not recorded; recorded are {', '.join(map(repr, self._places))}")
        return [record for record in self.records if record.layer == name]

    @property
    def columns(self) -> list[str]:
        """The names of :meth:`rows`' values."""
        percentiles = [f"p{number:g}" for number in self.percentiles]
        return ["step", "layer", "mean", "deviation", *percentiles, "gradient_change", "gradient_cosine"]

    def rows(self) -> list[list[Any]]:
        """The records as a table under :attr:`columns`."""
        return [[*record[:4], *record.percentiles, *record[5:]] for record in self.records]

    def save_csv(self, path: str | os.PathLike[str]) -> None:
        """Writes the table; what was not measured is left empty."""
        import csv

        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(self.columns)
            writer.writerows([["" if value != value else value for value in row] for row in self.rows()])

    def save_json(self, path: str | os.PathLike[str]) -> None:
        """Writes a list of objects, one for each row; what was not measured is null."""
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
        size = (5 * columns, 2.4 * len(self._places))
        figure, axes = pyplot.subplots(len(self._places), columns, figsize=size, squeeze=False, sharex=True)
        for name, row in zip(self._places, axes):
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

    # -- measuring --

    def _record(self, model: Model, probe: Arrays, changes: dict[str, tuple[float, float]]) -> None:
        """``model`` is a copy, which is run."""
        sources = list(dict.fromkeys(place.source for place in self._places.values() if isinstance(place.source, str)))
        values: dict[str | int, Array] = {}
        if sources:
            out = model.submodel(sources).forward(probe, training=True)
            values.update(zip(sources, out if len(sources) > 1 else [out]))
        for name, place in self._places.items():
            if isinstance(place.source, int):
                given: Any = probe
                value = np.asarray(given if len(model.input_shapes) == 1 else given[place.source])
            else:
                value = values[place.source]
            if self.channel is not None:
                if self.channel >= value.shape[-1]:
                    raise InvalidArgumentError(
                        f'channel {self.channel} is not one of the {value.shape[-1]} that "{name}" reads'
                    )
                value = value[..., self.channel]
            exact = value.astype(np.float64)
            found = tuple(float(number) for number in np.percentile(exact, self.percentiles))
            change, cosine = changes.get(name, (float("nan"), float("nan")))
            self.records.append(Record(self.steps, name, float(exact.mean()), float(exact.std()), found, change, cosine))

    def _gradient_changes(self, before: Model, x: Arrays, y: Arrays) -> dict[str, tuple[float, float]]:
        """Layer name → ``‖G − G'‖₂`` and the cosine between them."""
        chosen = {name: place for name, place in self._places.items() if place.tensors}
        if not chosen:
            return {}
        after = self.net.state_dict()
        whole = self._gradients(before.clone(), x, y)
        found = {}
        for name, place in chosen.items():
            mixed = before.clone()
            mixed.load_state_dict({key: after[key] for key in place.preceding}, strict=False)
            changed = self._gradients(mixed, x, y)
            g, h = (np.concatenate([part[key].ravel() for key in place.tensors]) for part in (whole, changed))
            product = float(np.linalg.norm(g) * np.linalg.norm(h))
            found[name] = (float(np.linalg.norm(g - h)), float(g @ h) / product if product else float("nan"))
        return found

    def _gradients(self, model: Model, x: Arrays, y: Any) -> dict[str, Array]:
        run = model if self._loss_layer is None else model.submodel(self._loss_layer)
        output = run.forward(x, training=True)
        run.backward(loss_of(self.loss, output, y).gradient)
        return {name: gradient.astype(np.float64) for name, gradient in run.gradients().items()}


class _Place(NamedTuple):
    #: The node whose value the layer reads: a name for ``submodel``, or the number of an input.
    source: str | int
    #: The layer's own parameters that train.
    tensors: list[str]
    #: The parameters of the layers that it depends on.
    preceding: list[str]


class _Graph:
    """A model's nodes, by name."""

    def __init__(self, net: Model) -> None:
        described = json.loads(net.architecture)
        self.net = net
        self.inputs: list[int] = described["inputs"]
        self.outputs: list[int] = described["outputs"]
        self.layers: list[dict[str, Any]] = described["layers"]
        self.nodes: list[dict[str, Any]] = described["nodes"]
        #: Of each node the name that ``submodel`` takes.
        self.names: list[str] = []
        counts: dict[str, int] = {}
        for node in self.nodes:
            name = node["name"] if "input" in node else self.layers[node["layer"]]["name"]
            counts[name] = counts.get(name, 0) + 1
            self.names.append(name if counts[name] == 1 else f"{name}/{counts[name]}")
        self.trainable = net.trainable()

    def place(self, name: str) -> _Place:
        self.net.layer(name)  # the error for a layer that there is not
        nodes = [i for i, node in enumerate(self.nodes) if "layer" in node and self.layers[node["layer"]]["name"] == name]
        if len(nodes) != 1:
            raise InvalidArgumentError(f"layer {name!r} stands in {len(nodes)} places; a layer of one place can be recorded")
        sources = self.nodes[nodes[0]]["from"]
        if len(sources) != 1:
            raise InvalidArgumentError(f"layer {name!r} reads {len(sources)} values; a layer of one input can be recorded")
        source = sources[0]
        before = {self.names[node].split("/")[0] for node in self._before(source)}
        return _Place(
            self.inputs.index(source) if "input" in self.nodes[source] else self.names[source],
            [key for key, trains in self.trainable.items() if trains and key.rpartition(".")[0] == name],
            [key for key in self.trainable if key.rpartition(".")[0] in before],
        )

    def _before(self, node: int) -> set[int]:
        found: set[int] = set()
        waiting = [node]
        while waiting:
            one = waiting.pop()
            if one not in found and "layer" in self.nodes[one]:
                found.add(one)
                waiting.extend(self.nodes[one]["from"])
        return found

    def loss_layer(self, loss: str) -> str | None:
        """Where the loss reads: before a softmax under cross-entropy, as a trainer has it; None: the output."""
        if len(self.outputs) != 1:
            raise InvalidArgumentError(f"the model has {len(self.outputs)} outputs; a model of one can be recorded")
        node = self.nodes[self.outputs[0]]
        if loss == "cross_entropy" and "layer" in node and self.layers[node["layer"]]["kind"] == "softmax":
            return str(self.names[node["from"][0]])
        return None
