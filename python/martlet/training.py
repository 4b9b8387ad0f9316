"""Training: a model with a loss and an optimizer, step by step or for whole epochs."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _abi, _arguments
from ._array import Arrays, Described, describe_all, describe_targets
from ._callbacks import CallbackScope
from ._errors import CancelledError, InvalidArgumentError
from ._handle import Handle, Owner
from ._library import library
from .augmentation import Augmentation, augmentation_pointer, normalization_pointer
from .functional import LOSSES
from .optimizers import Rule, as_rule

if TYPE_CHECKING:
    from .augmentation import PerChannel
    from .model import Model
    from .progress import Progress


_NONFINITE = {"error": _abi.NONFINITE_ERROR, "skip": _abi.NONFINITE_SKIP}
_STATISTICS = {"own": _abi.MICRO_BATCH_OWN, "whole": _abi.MICRO_BATCH_WHOLE}


class Result(NamedTuple):
    """Figures over some rows: the mean loss (NaN of no rows), the rows predicted right (None for ``"mse"``), the rows."""

    loss: float
    correct: int | None
    rows: int

    @property
    def accuracy(self) -> float:
        """Share of the rows predicted right; NaN where there were none, and for ``"mse"``, which does not say what is right."""
        return float("nan") if self.correct is None or not self.rows else self.correct / self.rows


class Event(NamedTuple):
    """What a callback is told: after each step, and after each epoch and its validation."""

    kind: str  #: "step" or "epoch"
    epoch: int  #: this one within the fit, from 0
    epochs: int
    step: int  #: steps done in this fit
    steps: int  #: steps in all its epochs
    training: Result  #: of this step, or of the whole epoch; of a skipped step its loss, and 0 rows
    validation: Result | None  #: of this epoch, where there is validation data


class History:
    """What a fit went through, epoch by epoch.

    Attributes
    ----------
    training, validation : list of Result
        One for each whole epoch.
    steps : int
        Steps done, those that were skipped included.
    skipped : int
        Steps that were skipped (``on_nonfinite="skip"``).
    stopped : bool
        Whether a callback (or Ctrl-C) ended it early.
    """

    def __init__(self) -> None:
        self.training: list[Result] = []
        self.validation: list[Result] = []
        self.steps = 0
        self.skipped = 0
        self.stopped = False

    @property
    def loss(self) -> list[float]:
        """Mean training loss of each epoch."""
        return [result.loss for result in self.training]

    @property
    def accuracy(self) -> list[float]:
        """Training accuracy of each epoch; NaN for ``"mse"``."""
        return [result.accuracy for result in self.training]

    @property
    def validation_loss(self) -> list[float]:
        """Validation loss after each epoch."""
        return [result.loss for result in self.validation]

    @property
    def validation_accuracy(self) -> list[float]:
        """Validation accuracy after each epoch; NaN for ``"mse"``."""
        return [result.accuracy for result in self.validation]

    def __repr__(self) -> str:
        last = f", loss={self.loss[-1]:.4f}" if self.training else ""
        return f"History(epochs={len(self.training)}, steps={self.steps}{last})"


#: Told of each event; a true result ends the fit after this step.
Callback = Callable[[Event], Any]


class Trainer(Handle):
    """A model in training.

    Parameters
    ----------
    model : Model
    loss : {"cross_entropy", "mse", "bce"}, optional
        See :func:`martlet.loss` for the targets that each takes. A last ``Softmax`` is taken together with
        ``"cross_entropy"``, a last ``Sigmoid`` with ``"bce"``: the loss reads that layer's input.
    optimizer : SGD, Adam, AdamW or str, optional
        ``SGD()`` if left out.
    seed : int, optional
        Of dropout, and of a fit's order of rows and augmentation.
    micro_batch_size : int, optional
        See the attribute.

    Examples
    --------
    >>> import numpy as np
    >>> from martlet import BatchNorm, Dense, SGD, Sequential, Sigmoid, Trainer
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(600, 4)).astype(np.float32)
    >>> y = (x[:, 0] * x[:, 1] > 0).astype(np.int64)
    >>> net = Sequential([Dense(16), BatchNorm(), Sigmoid(), Dense(2)], input_shape=(4,), seed=1)
    >>> trainer = Trainer(net, loss="cross_entropy", optimizer=SGD(learning_rate=1.0))
    >>> history = trainer.fit(x, y, epochs=40, batch_size=60)
    >>> trainer.evaluate(x, y).accuracy > 0.9
    True
    """

    _instead_of_pickling = "Pickle the model, trainer.model, and make a new Trainer of the copy"
    _instead_of_assigning = "Options of the update rule are given when the trainer is made: optimizer=SGD(0.1, momentum=0.9)"

    def __init__(
        self,
        model: Model,
        loss: str = "cross_entropy",
        optimizer: Rule | str | None = None,
        *,
        seed: int = 0,
        micro_batch_size: int | None = None,
    ) -> None:
        code = _arguments.one_of(loss, "loss", LOSSES)
        self._rule = as_rule("sgd" if optimizer is None else optimizer)
        options = self._rule._struct()
        checked = _arguments.integer(seed, "seed", 0, _arguments.UINT64_MAX)
        out = ctypes.POINTER(_abi.martlet_trainer)()
        library().martlet_trainer_create(ctypes.byref(out), model._open(), code, ctypes.byref(options), checked)
        self._owner = Owner(out, library().martlet_trainer_destroy)
        self._model = model
        self._history = History()
        if micro_batch_size is not None:
            self.micro_batch_size = micro_batch_size

    @property
    def model(self) -> Model:
        """The model it trains."""
        return self._model

    @property
    def rule(self) -> Rule:
        """What it trains by: SGD, Adam or AdamW."""
        return self._rule

    @property
    def history(self) -> History:
        """Of the last fit, also of one that was interrupted."""
        return self._history

    @property
    def micro_batch_size(self) -> int | None:
        """Rows of a batch that :meth:`step` and :meth:`fit` run at a time; None: all of them.

        Micro-batches are consecutive rows (one left over joins those before it), each normalised by its own statistics;
        there is one update, by the mean gradient over all rows. The memory is that of a micro-batch.
        """
        return int(library().martlet_trainer_micro_batch_size(self._open())) or None

    @micro_batch_size.setter
    def micro_batch_size(self, value: int | None) -> None:
        size = 0 if value is None else _arguments.integer(value, "micro_batch_size", 1)
        library().martlet_trainer_set_micro_batch_size(self._open(), size)

    @property
    def epoch(self) -> int:
        """Epochs that :meth:`fit` has begun, in all its calls."""
        return int(library().martlet_trainer_epoch(self._open()))

    @property
    def skipped_steps(self) -> int:
        """Steps that fits left out, because their loss or gradient was not finite, with ``on_nonfinite="skip"``."""
        return int(library().martlet_trainer_skipped_steps(self._open()))

    @property
    def learning_rate(self) -> float:
        """0 or more; may be set between steps and in callbacks."""
        return float(library().martlet_trainer_learning_rate(self._open()))

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        library().martlet_trainer_set_learning_rate(self._open(), _arguments.real(value, "learning_rate"))

    def _data(self, x: Arrays, y: Arrays, names: tuple[str, str] = ("x", "y")) -> tuple[Described, Described]:
        inputs = describe_all(x, self.model._input_count, names[0])
        return inputs, describe_targets(y, self.model._output_count, names[1])

    def step(self, x: Arrays, y: Arrays) -> Result:
        """One step on one batch: forward, loss, backward, update. The result is from before the update.

        Raises
        ------
        NonFiniteError
            If the loss or a gradient is not finite: parameters, optimizer and statistics are as before.
        """
        inputs, targets = self._data(x, y)
        out = _abi.martlet_result()
        self.model._all_reduce.call(
            library().martlet_trainer_step, self._open(), inputs, len(inputs), targets, len(targets), ctypes.byref(out)
        )
        return _result(out)

    def step_micro_batches(self, batches: Iterable[tuple[Arrays, Arrays]], statistics: str = "own") -> Result:
        """One step on a batch that comes in parts, with one update by the mean gradient over the rows of all.

        Parameters
        ----------
        batches : iterable of (x, y)
            The parts, of any number of rows each.
        statistics : {"own", "whole"}, optional
            Whether a part is normalised by its own statistics, or by those of all parts together: then the step is that of one
            large batch, to the bit, and takes its memory.

        Examples
        --------
        >>> import numpy as np
        >>> from martlet import BatchNorm, Dense, Sequential, Trainer
        >>> trainer = Trainer(Sequential([Dense(4), BatchNorm(), Dense(2)], input_shape=(3,)))
        >>> x, y = np.eye(6, 3, dtype=np.float32), np.arange(6) % 2
        >>> trainer.step_micro_batches([(x[:4], y[:4]), (x[4:], y[4:])], statistics="whole").rows
        6
        """
        code = _arguments.one_of(statistics, "statistics", _STATISTICS)
        parts = [self._data(*_pair(batch, name), names=_halves(name)) for name, batch in _numbered("batches", batches)]
        inputs = Described([array for given, _ in parts for array in given.arrays])
        targets = Described([array for _, given in parts for array in given.arrays])
        out = _abi.martlet_result()
        library().martlet_trainer_step_micro_batches(self._open(), len(parts), inputs, targets, code, ctypes.byref(out))
        return _result(out)

    def evaluate(
        self,
        x: Arrays,
        y: Arrays,
        *,
        batch_size: int | None = None,
        normalize: tuple[PerChannel, PerChannel] | None = None,
    ) -> Result:
        """Loss and hits at inference; changes nothing. The loss of no rows is NaN.

        Parameters
        ----------
        normalize : (mean, standard deviation), optional
            Of images, where the model has none of its own (``net.image_normalization``, which :meth:`fit` sets).
        """
        inputs, targets = self._data(x, y)
        size = 0 if batch_size is None else _arguments.integer(batch_size, "batch_size", 1)
        out = _abi.martlet_result()
        library().martlet_trainer_evaluate_normalized(
            self._open(),
            inputs,
            len(inputs),
            targets,
            len(targets),
            size,
            normalization_pointer(normalize),
            ctypes.byref(out),
        )
        return _result(out)

    def fit(
        self,
        x: Arrays,
        y: Arrays,
        *,
        epochs: int = 1,
        batch_size: int = 32,
        validation_data: tuple[Arrays, Arrays] | None = None,
        shuffle: bool = True,
        seed: int | None = None,
        drop_last: bool = False,
        augment: Augmentation | None = None,
        normalize: tuple[PerChannel, PerChannel] | None = None,
        on_nonfinite: str = "error",
        callbacks: Callback | Sequence[Callback] = (),
        progress: bool | Progress = False,
    ) -> History:
        """Whole epochs; order, batches and steps are the library's work.

        Parameters
        ----------
        x, y : array, or lists of arrays for a model of several inputs or outputs
            All rows, and their targets.
        epochs, batch_size : int, optional
        validation_data : (x, y), optional
            Evaluated after each epoch; one row or more.
        shuffle : bool, optional
            Whether each epoch has a new order of the rows.
        seed : int, optional
            Of the order and the augmentation. If left out, the trainer's, whose count of epochs goes on: three fits of 3 epochs
            are one of 9, to the bit. Given, the sequence of that seed, from its epoch 0.
        drop_last : bool, optional
            Whether to leave out a last batch that is not full. (A last batch of one row cannot be normalised.)
        augment : Augmentation, optional
            Random changes of the training images: ``x`` is uint8 or float32 ``[N, H, W, C]``. It is read where it lies, and a
            thread prepares the next batch while a step runs.
        normalize : (mean, standard deviation), optional
            Each a number, or one number for each channel of the images: ``(v - mean) / deviation``, where ``v`` is a uint8
            pixel divided by 255, or a float32 value as it is. The model keeps it (``net.image_normalization``) and applies it
            in every later call, predictions and validation included. If left out, the model's own, if it has one.
        on_nonfinite : {"error", "skip"}, optional
            What becomes of a step whose loss or gradient is not finite: :class:`NonFiniteError` with epoch, step and row,
            or the fit goes on with the next batch and counts the step. The step itself changes nothing in either case.
        callbacks : callable or list of callables, optional
            Each is told every :class:`Event`; a true result ends the fit after this step. May evaluate, predict, and set the
            learning rate. An exception ends the fit and rises from here. ``x`` and ``y`` are read again at each step: a
            callback that writes to them changes what later steps see; targets that the loss does not take end the fit with an
            error.
        progress : bool or Progress, optional
            Whether to show a progress bar.

        Returns
        -------
        History

        Raises
        ------
        NonFiniteError
            See ``on_nonfinite``. With ``"skip"`` for an epoch whose every step was skipped; and where the last update left a
            parameter that is not finite.
        KeyboardInterrupt, or whatever a signal handler raises
            After the step in progress; the model is whole and stays usable. A handler that returns lets the fit go on.
        """
        inputs, targets = self._data(x, y)
        options = _abi.sized(
            _abi.martlet_fit_options,
            epochs=_arguments.integer(epochs, "epochs"),
            batch_size=_arguments.integer(batch_size, "batch_size", 1),
            shuffle=_arguments.flag(shuffle, "shuffle"),
            drop_last=_arguments.flag(drop_last, "drop_last"),
            on_nonfinite=_arguments.one_of(on_nonfinite, "on_nonfinite", _NONFINITE),
        )
        if seed is not None:
            checked = _arguments.integer(seed, "seed", 0, _arguments.UINT64_MAX)
            options.seed = ctypes.pointer(ctypes.c_uint64(checked))
        if validation_data is not None:
            validation = self._data(*_pair(validation_data, "validation_data"), names=_halves("validation_data"))
            options.validation_inputs, options.validation_targets = (given.pointer() for given in validation)
        if augment is not None:
            options.augmentation = augmentation_pointer(augment)
        if normalize is not None:
            options.normalization = normalization_pointer(normalize)
        watch = _Watch([callbacks] if callable(callbacks) else list(callbacks), progress)
        self._history = watch.history
        options.callback = _abi.martlet_training_callback(watch)
        try:
            with watch.scope:
                library().martlet_trainer_fit(
                    self._open(), inputs, len(inputs), targets, len(targets), ctypes.byref(options), None
                )
        except CancelledError:
            if not watch.history.stopped:
                raise
        finally:
            watch.close()
        watch.scope.reraise()
        return watch.history


class _Watch:
    """What the library calls after each step. Never raises: an exception is kept for :meth:`Trainer.fit`."""

    def __init__(self, callbacks: list[Callback], progress: bool | Progress) -> None:
        for callback in callbacks:
            if not callable(callback):
                raise InvalidArgumentError(f"callbacks must be callables; got {_arguments.shown(callback)}")
        self.callbacks = callbacks
        self.history = History()
        self.scope = CallbackScope()
        self._wants_bar = progress is True
        self._bar: Progress | None = None if isinstance(progress, bool) else progress

    def __call__(self, pointer: Any, payload: Any) -> int:
        try:
            event = pointer.contents
            self.history.steps = event.step
            if event.kind == _abi.EVENT_EPOCH:
                self.history.training.append(_result(event.training))
                if event.has_validation:
                    self.history.validation.append(_result(event.validation))
            else:
                self.history.skipped += event.training.rows == 0
                if self._wants_bar or self._bar is not None:
                    self._show(event)
            if self.callbacks:
                self.scope.run(self._tell, _event(event))
        except BaseException as error:
            self.scope.fail(error)
        if self.scope.stops():
            self.history.stopped = True
        return int(self.history.stopped)

    def _tell(self, event: Event) -> None:
        for callback in self.callbacks:
            if callback(event):
                self.history.stopped = True

    def _show(self, event: Any) -> None:
        if self._bar is None:
            from .progress import Progress

            self._bar = Progress(event.steps)
        result = _result(event.training)
        figures = {} if result.correct is None else {"accuracy": result.accuracy}
        self._bar.update(event.step, loss=result.loss, **figures)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _result(out: Any) -> Result:
    return Result(out.loss, None if out.correct < 0 else out.correct, out.rows)


def _event(event: Any) -> Event:
    return Event(
        "step" if event.kind == _abi.EVENT_STEP else "epoch",
        event.epoch,
        event.epochs,
        event.step,
        event.steps,
        _result(event.training),
        _result(event.validation) if event.has_validation else None,
    )


def _numbered(name: str, items: Iterable[Any]) -> Iterable[tuple[str, Any]]:
    return ((f"{name}[{index}]", item) for index, item in enumerate(items))


def _halves(name: str) -> tuple[str, str]:
    """The names of the parts of a pair (x, y)."""
    return f"{name}[0]", f"{name}[1]"


def _pair(value: Any, name: str) -> tuple[Any, Any]:
    try:
        x, y = value
    except (TypeError, ValueError):
        raise InvalidArgumentError(f"{name} must be a pair (x, y)") from None
    return x, y
