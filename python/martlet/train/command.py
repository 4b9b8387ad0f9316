"""``python -m martlet train``."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from contextlib import suppress
from statistics import median
from typing import Any

import numpy as np

from .. import __version__, isa, num_threads, set_num_threads
from .. import data as datasets
from .._array import Array
from .._errors import InvalidArgumentError
from ..data import Dataset
from . import report, torch_peer
from .experiment import MODELS, Learner, Ours, Run, Settings, first_losses, images, network, run

_DEFAULTS = Settings()
#: Steps whose losses are compared, and how far they may differ, beside the largest. A step's rounding is some 1e-7; while the
#: network learns fastest, differences grow severalfold every few steps.
COMPARED_STEPS = 50
TOLERANCE = 1e-3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a training."""
    add = parser.add_argument
    add("--model", choices=sorted(MODELS), default=_DEFAULTS.model, help="(%(default)s)")
    add("--data", choices=("auto", "fashion-mnist", "digits"), default="auto", help="(%(default)s)")
    epochs = ", ".join(f"{name} {count}" for name, count in MODELS.items())
    add("--epochs", type=int, default=None, metavar="N", help=f"({epochs})")
    add("--batch-size", type=int, default=_DEFAULTS.batch_size, metavar="ROWS", help="(%(default)s)")
    add("--learning-rate", type=float, default=_DEFAULTS.learning_rate, metavar="RATE", help="the highest (%(default)s)")
    add("--weight-decay", type=float, default=_DEFAULTS.weight_decay, metavar="DECAY", help="of weights (%(default)s)")
    add("--seed", "--seeds", type=int, nargs="+", default=[_DEFAULTS.seed], help="one training for each (1)")
    add("--minutes", type=float, default=None, help="ends within these minutes of training, its learning rate brought down")
    add("--threads", type=int, default=None, metavar="N", help="(all CPUs)")
    add("--compare", choices=("torch",), default=None, help="the same network, weights and batches in PyTorch, too")
    add("--save", default=None, metavar="FILE", help="where to put the (last) network")


def main(options: argparse.Namespace) -> int:
    """Runs the trainings; prints what they went through."""
    for name in ("epochs", "threads", "minutes"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            raise InvalidArgumentError(f"--{name} must be above 0; got {value}")
    if options.batch_size < 2:
        raise InvalidArgumentError("--batch-size must be at least 2: one value per channel cannot be normalised")
    if options.compare and not torch_peer.is_available():
        raise InvalidArgumentError("--compare torch: PyTorch is not installed (pip install torch)")
    if options.threads is not None:
        set_num_threads(options.threads)
    data = images(datasets.load(options.data))
    settings = Settings(
        model=options.model,
        epochs=MODELS[options.model] if options.epochs is None else options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        minutes=options.minutes,
    )
    versions = [f"martlet {__version__}", f"Python {platform.python_version()}", f"NumPy {np.__version__}"]
    if options.compare:
        versions.append(f"PyTorch {torch_peer.version()}")
    print(f"{', '.join(versions)}; {isa()}, {num_threads()} threads.")
    runs = []
    for seed in options.seed:
        runs += _train(settings._replace(seed=seed), data, options)
    for label in dict.fromkeys(found.label for found in runs):
        same = [found for found in runs if found.label == label]
        if len(same) > 1:
            print(f"{label}, {report.spread(same)}")
    return 0


def _train(settings: Settings, data: Dataset, options: argparse.Namespace) -> list[Run]:
    net = network(settings, data)
    count = sum(layer["parameters"] for layer in _layers(net))
    print(
        f"{settings.model}, {count:,} parameters, on {data.name}: {len(data.train_x):,} rows to train on, {len(data.test_x):,} "
        f"to test; batches of {settings.batch_size}, SGD with momentum {settings.momentum:g}, learning rate up to "
        f"{settings.learning_rate:g}, weight decay {settings.weight_decay:g}, seed {settings.seed}."
    )
    learners: list[Learner] = []
    if options.compare:
        learners = [_faster_peer(net, data, settings)]
    learners.insert(0, Ours(net, settings))
    runs = []
    for learner in learners:
        print(learner.label)
        runs.append(run(learner, data, settings, lambda epoch, rate: print(report.line(epoch, rate, settings), flush=True)))
    for found in runs:
        print(report.summary(found))
    if len(runs) > 1:
        print(report.side_by_side(runs[0], runs[1]))
    if options.save is not None:
        with suppress(FileExistsError):
            os.makedirs(os.path.dirname(os.path.abspath(options.save)))
        net.save(options.save)
        print(f"Network: {options.save}")
    sys.stdout.flush()
    return runs


class _Timed:
    """A learner whose steps are timed, one by one."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self.label = learner.label
        self.seconds: list[float] = []

    def step(self, x: Array, y: Array, learning_rate: float) -> float:
        begun = time.perf_counter()
        loss = self._learner.step(x, y, learning_rate)
        self.seconds.append(time.perf_counter() - begun)
        return loss

    def accuracy(self, x: Array, y: Array) -> float:
        return self._learner.accuracy(x, y)


def _layers(net: Any) -> list[dict[str, Any]]:
    from .._restore import infos

    return infos(net._open())


def _faster_peer(net: Any, data: Dataset, settings: Settings) -> Learner:
    """PyTorch in the memory layout that is faster here, after its first losses were found to be ours.

    Raises
    ------
    InvalidArgumentError
        The losses differ.
    """
    # The warm-up of a training of full length: a hastier one lets rounding grow beyond any tolerance within these steps.
    settings = settings._replace(epochs=max(settings.epochs, MODELS[settings.model]))
    ours = first_losses(Ours(net.clone(), settings), data, settings, COMPARED_STEPS)
    seconds = {}
    for layout in ("channels_first", "channels_last"):
        peer = torch_peer.TorchLearner(net, settings, layout, num_threads())
        timed = _Timed(peer)
        theirs = first_losses(timed, data, settings, COMPARED_STEPS)
        # The median: the first steps choose and build kernels, and the layout that comes first would pay for both.
        seconds[layout] = median(timed.seconds)
        found = report.difference(ours, theirs)
        print(
            f"Losses of the first {len(ours)} steps, martlet's and {peer.label}'s: they differ by {found:.1e} at most "
            f"(allowed: {TOLERANCE:g} of the largest), {1000 * seconds[layout]:.1f} ms a step there."
        )
        if not found <= TOLERANCE:
            raise InvalidArgumentError(f"the losses of {peer.label} are others; this is no comparison of one network")
    return torch_peer.TorchLearner(net, settings, min(seconds, key=lambda layout: seconds[layout]), num_threads())
