"""What a model does with the statistics of its batch norms: measured over a whole data set, remembered and put back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from . import _arguments
from ._array import Arrays, describe_all
from ._errors import InvalidArgumentError
from ._handle import Handle
from ._library import library
from ._population import POPULATION_METHODS, update_from_batches


class ModelStatistics(Handle):
    """The part of :class:`Model` that is about statistics."""

    _input_count: int

    def update_population_statistics(
        self,
        x: Arrays | None = None,
        method: str = "sequential",
        *,
        batch_size: int = 1024,
        batches: Iterable[Arrays] | None = None,
    ) -> None:
        """Replaces every batch norm's moving statistics by the exact ones of its inputs over a whole data set.

        Batches are pooled by their size, the variance between them included. After an error nothing has changed.

        Parameters
        ----------
        x : array, or list of arrays for a model of several inputs, optional
            The data set.
        method : {"sequential", "one_pass"}, optional
            ``"sequential"``: layer by layer, the layers before it at inference with their exact statistics. The result does not
            depend on ``batch_size``, beyond float32 rounding. ``"one_pass"``: all layers at once, each batch normalised with
            its own statistics as in training. A batch of one value per channel (a last row left over) is normalised by what
            was found up to it; it cannot be the first.
        batch_size : int, optional
            Rows of ``x`` at a time.
        batches : iterable of batches, optional
            In place of ``x``: each an array, or a list of arrays for a model of several inputs. ``"sequential"`` goes through
            it once for each batch norm, so it must not be a mere iterator.

        Examples
        --------
        >>> import numpy as np
        >>> from martlet import BatchNorm, Dense, Sequential
        >>> net = Sequential([Dense(8), BatchNorm(), Dense(2)], input_shape=(3,))
        >>> x = np.ones((100, 3), np.float32)
        >>> net.update_population_statistics(x, method="one_pass")
        >>> net.update_population_statistics(batches=(x[i : i + 10] for i in range(0, 100, 10)), method="one_pass")
        """
        code = _arguments.one_of(method, "method", POPULATION_METHODS)
        if (x is None) == (batches is None):
            raise InvalidArgumentError("give x, or batches: one of the two")
        if batches is not None:
            update_from_batches(self._open(), code, batches, self._input_count)
        if x is None:
            return
        inputs = describe_all(x, self._input_count, "x")
        size = _arguments.integer(batch_size, "batch_size", 1)
        library().martlet_model_update_population_statistics_by(self._open(), inputs, len(inputs), size, code)

    def begin_statistics(self) -> None:
        """Remembers all statistics as they stand, until :meth:`commit_statistics` or :meth:`rollback_statistics`.

        That is moving means and variances, batch counters, and what input normalisation was fitted to; not parameters. Each of
        the two ends the last transaction begun; they nest. Submodels share them.
        """
        library().martlet_model_begin_statistics(self._open())

    def commit_statistics(self) -> None:
        """Ends the last transaction begun; the statistics stay as they are."""
        library().martlet_model_commit_statistics(self._open())

    def rollback_statistics(self) -> None:
        """Ends the last transaction begun; the statistics become what they were, to the bit."""
        library().martlet_model_rollback_statistics(self._open())

    @contextlib.contextmanager
    def statistics_transaction(self) -> Iterator[None]:
        """A transaction of statistics that is committed at the end, or rolled back on an exception.

        Examples
        --------
        >>> import numpy as np
        >>> from martlet import BatchNorm, Sequential
        >>> net = Sequential([BatchNorm()], input_shape=(3,))
        >>> try:
        ...     with net.statistics_transaction():
        ...         y = net.forward(np.ones((4, 3), np.float32), training=True)
        ...         raise KeyError
        ... except KeyError:
        ...     print(net.state_dict()["0.running_mean"])
        [0. 0. 0.]
        """
        self.begin_statistics()
        try:
            yield
        except BaseException:
            self.rollback_statistics()
            raise
        self.commit_statistics()
