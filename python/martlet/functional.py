"""Plain functions on arrays: batch normalisation, its gradients, exact statistics, losses, matrix products."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _abi, _arguments
from ._array import (
    Array,
    Described,
    as_array,
    as_optional_array,
    as_output,
    describe,
    describe_targets,
    described_output,
    reference,
)
from ._errors import InvalidArgumentError, ShapeError
from ._handle import Owner
from ._library import library

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

LOSSES = {
    "cross_entropy": _abi.LOSS_CROSS_ENTROPY,
    "mse": _abi.LOSS_MEAN_SQUARED_ERROR,
    "bce": _abi.LOSS_BINARY_CROSS_ENTROPY,
}


class Normalized(NamedTuple):
    """A normalised array and the statistics it was normalised with."""

    y: Array
    mean: Array
    variance: Array


class BatchNormGradients(NamedTuple):
    """Gradients of :func:`batch_norm`."""

    grad_input: Array
    grad_scale: Array
    grad_shift: Array


class PopulationStatistics(NamedTuple):
    """Exact statistics of a whole data set, one mean and variance per channel, each over ``count`` values."""

    mean: Array
    variance: Array
    count: int  # type: ignore[assignment]  # hides tuple.count


class Loss(NamedTuple):
    """A loss: the mean over the rows (NaN of none), the rows predicted right (None for ``"mse"``), and ``dL/d(output)``."""

    loss: float
    correct: int | None
    gradient: Array


ACTIVATIONS = {"sigmoid": _abi.SIGMOID, "tanh": _abi.TANH, "relu": _abi.RELU}


def _activation(name: str | None) -> int:
    return _abi.IDENTITY if name is None else _arguments.one_of(name, "activation", ACTIVATIONS)


def _channels(x: Array, channel_axis: int, name: str = "x") -> int:
    if channel_axis not in (-1, 1):
        raise InvalidArgumentError(
            f"channel_axis must be -1 (last) or 1 (channels first); got {_arguments.shown(channel_axis)}"
        )
    if x.ndim < 2 and not (x.ndim == 1 and channel_axis == -1):
        raise ShapeError(f"{name} has shape {list(x.shape)}; expected [rows, channels] or more axes")
    return int(x.shape[channel_axis])


def batch_norm_with_statistics(
    x: ArrayLike,
    scale: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    mean: ArrayLike | None = None,
    variance: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
    channel_axis: int = -1,
    activation: str | None = None,
    out: Array | None = None,
) -> Normalized:
    """:func:`batch_norm`, with the statistics used (float64), which :func:`batch_norm_gradients` takes.

    Returns
    -------
    Normalized
        ``y``, ``mean``, ``variance``.
    """
    array = as_array(x, "x")
    channels = _channels(array, channel_axis)
    y = as_output(array.shape, out)
    used_mean, used_variance = np.empty(channels), np.empty(channels)
    if not array.size:  # which has no statistics
        used_mean.fill(np.nan)
        used_variance.fill(np.nan)
    # Named, so that arrays that were converted live until the call is over.
    scales, shifts = as_optional_array(scale, "scale"), as_optional_array(shift, "shift")
    means, variances = as_optional_array(mean, "mean"), as_optional_array(variance, "variance")
    library().martlet_batch_norm(
        reference(array),
        channel_axis,
        _arguments.real(epsilon, "epsilon"),
        _activation(activation),
        reference(scales),
        reference(shifts),
        reference(means),
        reference(variances),
        reference(y),
        reference(used_mean),
        reference(used_variance),
    )
    return Normalized(y, used_mean, used_variance)


def batch_norm(
    x: ArrayLike,
    scale: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    mean: ArrayLike | None = None,
    variance: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
    channel_axis: int = -1,
    activation: str | None = None,
    out: Array | None = None,
) -> Array:
    """Batch normalisation of an array: ``y = scale · (x − mean) / √(variance + epsilon) + shift``, per channel.

    Parameters
    ----------
    x : array
        ``[rows, C]`` or with more axes; any real dtype and strides.
    scale, shift : array, optional
        ``[C]``; 1 and 0 if left out.
    mean, variance : array, optional
        ``[C]``. Left out (both), the batch's own are computed: the variance is the biased one.
    epsilon : float, optional
        Above 0.
    channel_axis : {-1, 1}, optional
        Where the channels are: last, or first after the rows.
    activation : {"sigmoid", "tanh", "relu"}, optional
        Applied to ``y`` on the way out, at no further pass over memory.
    out : array, optional
        Contiguous float32 of the shape of ``x`` that receives ``y``; may be ``x`` itself.

    Returns
    -------
    array
        float32, the shape of ``x``.

    Raises
    ------
    InvalidArgumentError
        Own statistics were asked for of one value per channel.

    Examples
    --------
    >>> import martlet
    >>> martlet.batch_norm([[1.0, 5.0], [3.0, 9.0]], scale=[1.0, 2.0]).round(3)
    array([[-1., -2.],
           [ 1.,  2.]], dtype=float32)
    """
    return batch_norm_with_statistics(
        x, scale, shift, mean, variance, epsilon=epsilon, channel_axis=channel_axis, activation=activation, out=out
    ).y


def batch_norm_gradients(
    x: ArrayLike,
    grad_output: ArrayLike,
    scale: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    *,
    mean: ArrayLike,
    variance: ArrayLike,
    statistics_are_constant: bool = False,
    epsilon: float = 1e-5,
    channel_axis: int = -1,
    activation: str | None = None,
    output: ArrayLike | None = None,
    out: tuple[Array | None, Array | None, Array | None] | None = None,
) -> BatchNormGradients:
    """Gradients of :func:`batch_norm`, given ``grad_output = dL/dy``.

    Parameters
    ----------
    x, scale, shift, epsilon, channel_axis
        As in the forward call. ``shift`` serves ``activation="relu"`` without ``output`` alone.
    grad_output : array
        The shape of ``x``.
    mean, variance : array
        What the forward call used (:func:`batch_norm_with_statistics` gives them).
    statistics_are_constant : bool, optional
        Whether they were given from outside, not computed from ``x``.
    activation : {"sigmoid", "tanh", "relu"}, optional
        The forward call's.
    output : array, optional
        What the forward call returned as ``y``, for sigmoid and tanh, whose derivative is taken from it. Where it is left out,
        ReLU's follows from ``x``, ``mean``, ``variance``, ``scale`` and ``shift``, which is faster.
    out : BatchNormGradients or tuple of three arrays, optional
        Contiguous float32 arrays that receive the gradients, such as the last call's result: no memory is made then.
        ``None`` in a place: a new array. The first may be ``grad_output`` itself.

    Returns
    -------
    BatchNormGradients
        ``grad_input`` (the shape of ``x``), ``grad_scale``, ``grad_shift`` (``[C]``), float32.

    Examples
    --------
    >>> import numpy as np, martlet
    >>> x = np.array([[1.0], [2.0], [4.0]])
    >>> y, mean, variance = martlet.batch_norm_with_statistics(x)
    >>> gradients = martlet.batch_norm_gradients(x, [[1.0], [0.0], [0.0]], mean=mean, variance=variance)
    >>> gradients.grad_shift
    array([1.], dtype=float32)
    """
    array = as_array(x, "x")
    channels = _channels(array, channel_axis)
    given = (None, None, None) if out is None else tuple(out)
    if len(given) != 3:
        raise InvalidArgumentError(f"out must hold three arrays (grad_input, grad_scale, grad_shift); got {len(given)}")
    grad_input = as_output(array.shape, given[0], "out[0]")
    grad_scale, grad_shift = as_output((channels,), given[1], "out[1]"), as_output((channels,), given[2], "out[2]")
    # Named, so that arrays that were converted live until the call is over.
    scales, shifts = as_optional_array(scale, "scale"), as_optional_array(shift, "shift")
    grads, outputs = as_array(grad_output, "grad_output"), as_optional_array(output, "output")
    means, variances = as_array(mean, "mean"), as_array(variance, "variance")
    library().martlet_batch_norm_gradients(
        reference(array),
        channel_axis,
        _arguments.real(epsilon, "epsilon"),
        _activation(activation),
        reference(scales),
        reference(shifts),
        reference(means),
        reference(variances),
        _arguments.flag(statistics_are_constant, "statistics_are_constant"),
        reference(grads),
        reference(outputs),
        reference(grad_input),
        reference(grad_scale),
        reference(grad_shift),
    )
    return BatchNormGradients(grad_input, grad_scale, grad_shift)


def population_statistics(
    data: ArrayLike | Iterable[ArrayLike], *, channel_axis: int = -1, unbiased: bool = False
) -> PopulationStatistics:
    """Exact mean and variance of each channel over a whole data set.

    The mean of the pooled values and their variance, between-batch variance included: how the data was cut into batches does
    not matter.

    Parameters
    ----------
    data : array, or iterable of arrays
        The data set at once, or batch by batch (a generator will do).
    channel_axis : {-1, 1}, optional
        Where the channels are.
    unbiased : bool, optional
        Whether the variance divides by n − 1 (the paper's inference step) instead of by n.

    Returns
    -------
    PopulationStatistics
        ``mean``, ``variance`` (float64, ``[C]``), ``count``.

    Examples
    --------
    >>> import martlet
    >>> martlet.population_statistics([[1.0], [2.0], [6.0]], unbiased=True)
    PopulationStatistics(mean=array([3.]), variance=array([7.]), count=3)
    """
    owner: Owner | None = None
    channels = 0
    for batch in _batches(data):
        source = describe(batch, "data")
        if owner is None:
            channels = _channels(source.arrays[0], channel_axis, "data")
            out = ctypes.POINTER(_abi.martlet_statistics)()
            library().martlet_statistics_create(ctypes.byref(out), channels)
            owner = Owner(out, library().martlet_statistics_destroy)
        library().martlet_statistics_add(owner, source, channel_axis)
    if owner is None:
        raise InvalidArgumentError("data holds no batch; expected at least one")
    mean, variance = np.empty(channels), np.empty(channels)
    count = ctypes.c_int64()
    wanted = _arguments.flag(unbiased, "unbiased")
    library().martlet_statistics_read(owner, wanted, Described([mean]), Described([variance]), ctypes.byref(count))
    return PopulationStatistics(mean, variance, count.value)


def _batches(data: Any) -> Iterable[Any]:
    """An array or nested lists: one batch. Anything else that can be iterated: batches."""
    if hasattr(data, "__array__"):
        return (data,)
    if isinstance(data, (list, tuple)):
        return data if data and all(hasattr(item, "__array__") for item in data) else (data,)
    return data if isinstance(data, Iterable) else (data,)


def loss(kind: str, output: ArrayLike, target: ArrayLike) -> Loss:
    """A loss with its gradient.

    Parameters
    ----------
    kind : {"cross_entropy", "mse", "bce"}
        Softmax cross-entropy of logits; mean squared error; binary cross-entropy of logits.
    output : array
        Logits for ``"cross_entropy"`` (``[rows, classes]``, two classes or more) and ``"bce"``: what a network gives before its
        ``Softmax`` or ``Sigmoid``.
    target : array
        ============= ==========================================================================================
        cross_entropy integer labels ``[rows]`` or ``[rows, 1]`` in 0 … classes − 1; or probabilities
                      ``[rows, classes]``, 0 or more, each row's sum 1 (within 0.001)
        mse           finite, of the output's shape; or ``[rows]`` for an output ``[rows, 1]``
        bce           in 0 … 1, of the output's shape; or ``[rows]`` for an output ``[rows, 1]``
        ============= ==========================================================================================

    Returns
    -------
    Loss
        ``loss``, ``correct`` (None for ``"mse"``), ``gradient`` (the shape of ``output``).

    Raises
    ------
    ShapeError
        The target does not fit the output, or cross-entropy has one class.
    InvalidArgumentError
        The target has values that the loss does not take; the message says in which row.

    Examples
    --------
    >>> import martlet
    >>> martlet.loss("mse", [[1.0, 2.0]], [[1.0, 0.0]])
    Loss(loss=2.0, correct=None, gradient=array([[0., 2.]], dtype=float32))
    """
    code = _arguments.one_of(kind, "kind", LOSSES)
    array = as_array(output, "output")
    gradient = described_output(array.shape)
    value, correct = ctypes.c_double(), ctypes.c_int64()
    library().martlet_loss(
        code, Described([array]), describe_targets(target, 1, "target"), ctypes.byref(value), ctypes.byref(correct), gradient
    )
    return Loss(value.value, None if correct.value < 0 else correct.value, gradient.arrays[0])


def matmul(a: ArrayLike, b: ArrayLike, *, out: Array | None = None) -> Array:
    """Matrix product of two arrays: ``c[i, j] = Σ_l a[i, l]·b[l, j]``.

    Parameters
    ----------
    a, b : array
        ``[m, k]`` and ``[k, n]``. float32 whose elements are neighbours along either axis is read where it lies, a transposed
        view (``a.T``) too; anything else is converted first.
    out : array, optional
        Contiguous float32 ``[m, n]`` that receives the product; shares no memory with the operands.

    Returns
    -------
    array
        ``[m, n]``, float32. A row has the bits that it has among any other rows.

    Raises
    ------
    ShapeError
        The operands are not matrices that fit each other, or ``out`` has another shape.
    InvalidArgumentError
        ``out`` is not contiguous float32, or shares memory.

    Examples
    --------
    >>> import numpy as np, martlet
    >>> a = np.float32([[1, 2], [3, 4]])
    >>> martlet.matmul(a, a.T)
    array([[ 5., 11.],
           [11., 25.]], dtype=float32)
    """
    first, second = as_array(a, "a"), as_array(b, "b")
    if first.ndim != 2 or second.ndim != 2:
        raise ShapeError(f"a and b have shapes {list(first.shape)} and {list(second.shape)}; expected two matrices")
    c = as_output((first.shape[0], second.shape[1]), out)
    library().martlet_matmul(reference(first), reference(second), reference(c))
    return c
