"""Batch norm's relatives as plain functions on arrays, channels last, and their gradients."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _abi, _arguments
from ._array import Array, as_array, as_optional_array, as_output, reference
from ._library import library
from .layers.normalizations import OVER

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class NormalizationGradients(NamedTuple):
    """Gradients of a normalisation; ``None`` for what it does not have."""

    grad_input: Array
    grad_scale: Array
    grad_shift: Array | None = None
    grad_threshold: Array | None = None
    grad_learned_epsilon: Array | None = None


def _options(kind: int, epsilon: float, **others: int) -> Any:
    return _abi.sized(_abi.martlet_normalization_options, kind=kind, epsilon=_arguments.real(epsilon, "epsilon"), **others)


def _forward(options: Any, x: ArrayLike, out: Array | None, *parameters: tuple[ArrayLike | None, str]) -> Array:
    array = as_array(x, "x")
    y = as_output(array.shape, out)
    # Named, so that arrays that were converted live until the call is over.
    arrays = [as_optional_array(value, name) for value, name in parameters]
    arrays += [None] * (4 - len(arrays))
    library().martlet_normalize(ctypes.byref(options), reference(array), *map(reference, arrays), reference(y))
    return y


def _backward(
    options: Any, x: ArrayLike, grad_output: ArrayLike, wanted: int, *parameters: tuple[ArrayLike | None, str]
) -> NormalizationGradients:
    """Gradients of the first ``wanted`` parameters, given or not, and of the later ones that are given."""
    array, grads = as_array(x, "x"), as_array(grad_output, "grad_output")
    learned = array.shape[1:] if options.kind == _abi.LAYER_NORM and options.over else array.shape[-1:]
    arrays = [as_optional_array(value, name) for value, name in parameters]
    arrays += [None] * (4 - len(arrays))
    results = [as_output(learned, None) if index < wanted or given is not None else None for index, given in enumerate(arrays)]
    grad_input = as_output(array.shape, None)
    library().martlet_normalize_gradients(
        ctypes.byref(options),
        reference(array),
        *map(reference, arrays),
        reference(grads),
        reference(grad_input),
        *map(reference, results),
    )
    return NormalizationGradients(grad_input, *results)  # type: ignore[arg-type]


def layer_norm(
    x: ArrayLike,
    scale: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    *,
    over: str = "last",
    epsilon: float = 1e-5,
    out: Array | None = None,
) -> Array:
    """Layer normalisation: ``y = scale · (x − mean) / √(variance + epsilon) + shift``, per position or per sample.

    Parameters
    ----------
    x : array
        ``[rows, …, C]``; any real dtype and strides.
    scale, shift : array, optional
        ``[C]``, or the shape of a row if ``over="all"``; 1 and 0 if left out.
    over : {"last", "all"}, optional
        The last axis, or all axes but the first.
    epsilon : float, optional
        Above 0.
    out : array, optional
        Contiguous float32 of the shape of ``x`` that receives ``y``; may be ``x`` itself.

    Returns
    -------
    array
        float32, the shape of ``x``.

    Examples
    --------
    >>> import martlet
    >>> martlet.layer_norm([[1.0, 3.0], [10.0, 50.0]], scale=[1.0, 2.0]).round(3)
    array([[-1.,  2.],
           [-1.,  2.]], dtype=float32)
    """
    options = _options(_abi.LAYER_NORM, epsilon, over=_arguments.one_of(over, "over", OVER))
    return _forward(options, x, out, (scale, "scale"), (shift, "shift"))


def layer_norm_gradients(
    x: ArrayLike,
    grad_output: ArrayLike,
    scale: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    *,
    over: str = "last",
    epsilon: float = 1e-5,
) -> NormalizationGradients:
    """Gradients of :func:`layer_norm`, given ``grad_output = dL/dy``; the statistics are computed again.

    Examples
    --------
    >>> import martlet
    >>> martlet.layer_norm_gradients([[1.0, 3.0]], [[1.0, 2.0]]).grad_shift
    array([1., 2.], dtype=float32)
    """
    options = _options(_abi.LAYER_NORM, epsilon, over=_arguments.one_of(over, "over", OVER))
    return _backward(options, x, grad_output, 2, (scale, "scale"), (shift, "shift"))


def rms_norm(x: ArrayLike, scale: ArrayLike | None = None, *, epsilon: float = 1e-6, out: Array | None = None) -> Array:
    """Root mean square normalisation: ``y = scale · x / √(mean(x²) + epsilon)`` over the last axis.

    Arguments and result as of :func:`layer_norm`.

    Examples
    --------
    >>> import martlet
    >>> martlet.rms_norm([[1.0, 7.0]]).round(3)
    array([[0.2, 1.4]], dtype=float32)
    """
    return _forward(_options(_abi.RMS_NORM, epsilon), x, out, (scale, "scale"))


def rms_norm_gradients(
    x: ArrayLike, grad_output: ArrayLike, scale: ArrayLike | None = None, *, epsilon: float = 1e-6
) -> NormalizationGradients:
    """Gradients of :func:`rms_norm`, given ``grad_output = dL/dy``.

    Examples
    --------
    >>> import martlet
    >>> martlet.rms_norm_gradients([[1.0, 7.0]], [[1.0, 1.0]]).grad_scale.round(3)
    array([0.2, 1.4], dtype=float32)
    """
    return _backward(_options(_abi.RMS_NORM, epsilon), x, grad_output, 1, (scale, "scale"))


def group_norm(
    x: ArrayLike,
    groups: int,
    scale: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
    out: Array | None = None,
) -> Array:
    """Group normalisation: each group of neighbouring channels of each sample, over the group and all positions.

    ``groups`` divides the channels; the other arguments and the result are as of :func:`layer_norm`, scale and shift ``[C]``.

    Examples
    --------
    >>> import martlet
    >>> martlet.group_norm([[1.0, 3.0, 10.0, 50.0]], 2).round(3)
    array([[-1.,  1., -1.,  1.]], dtype=float32)
    """
    options = _options(_abi.GROUP_NORM, epsilon, groups=_arguments.integer(groups, "groups", 1))
    return _forward(options, x, out, (scale, "scale"), (shift, "shift"))


def group_norm_gradients(
    x: ArrayLike,
    grad_output: ArrayLike,
    groups: int,
    scale: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
) -> NormalizationGradients:
    """Gradients of :func:`group_norm`, given ``grad_output = dL/dy``.

    Examples
    --------
    >>> import martlet
    >>> martlet.group_norm_gradients([[1.0, 3.0]], [[1.0, 2.0]], 1).grad_scale.round(3)
    array([-1.,  2.], dtype=float32)
    """
    options = _options(_abi.GROUP_NORM, epsilon, groups=_arguments.integer(groups, "groups", 1))
    return _backward(options, x, grad_output, 2, (scale, "scale"), (shift, "shift"))


def instance_norm(
    x: ArrayLike,
    scale: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
    out: Array | None = None,
) -> Array:
    """Instance normalisation: each channel of each sample over its positions. No running statistics.

    Arguments and result as of :func:`layer_norm`, scale and shift ``[C]``.

    Examples
    --------
    >>> import martlet
    >>> martlet.instance_norm([[[1.0], [3.0]]]).round(3)
    array([[[-1.],
            [ 1.]]], dtype=float32)
    """
    return _forward(_options(_abi.INSTANCE_NORM, epsilon), x, out, (scale, "scale"), (shift, "shift"))


def instance_norm_gradients(
    x: ArrayLike,
    grad_output: ArrayLike,
    scale: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    *,
    epsilon: float = 1e-5,
) -> NormalizationGradients:
    """Gradients of :func:`instance_norm`, given ``grad_output = dL/dy``.

    Examples
    --------
    >>> import martlet
    >>> martlet.instance_norm_gradients([[[1.0], [3.0]]], [[[1.0], [2.0]]]).grad_shift
    array([3.], dtype=float32)
    """
    options = _options(_abi.INSTANCE_NORM, epsilon)
    return _backward(options, x, grad_output, 2, (scale, "scale"), (shift, "shift"))


def filter_response_norm(
    x: ArrayLike,
    scale: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    threshold: ArrayLike | None = None,
    learned_epsilon: ArrayLike | None = None,
    *,
    epsilon: float = 1e-6,
    out: Array | None = None,
) -> Array:
    """Filter response normalisation: ``y = max(scale · x / √(mean(x²) + epsilon + |learned_epsilon|) + shift, threshold)``.

    The mean is over the positions of each channel of each sample. ``scale``, ``shift``, ``threshold``, ``learned_epsilon``:
    ``[C]``; left out: 1, 0, nothing is cut off, 0. Other arguments and result as of :func:`layer_norm`.

    Examples
    --------
    >>> import martlet
    >>> martlet.filter_response_norm([[[-1.0], [7.0]]], threshold=[0.0]).round(3)
    array([[[0. ],
            [1.4]]], dtype=float32)
    """
    options = _options(_abi.FILTER_RESPONSE_NORM, epsilon)
    given = ((scale, "scale"), (shift, "shift"), (threshold, "threshold"), (learned_epsilon, "learned_epsilon"))
    return _forward(options, x, out, *given)


def filter_response_norm_gradients(
    x: ArrayLike,
    grad_output: ArrayLike,
    scale: ArrayLike | None = None,
    shift: ArrayLike | None = None,
    threshold: ArrayLike | None = None,
    learned_epsilon: ArrayLike | None = None,
    *,
    epsilon: float = 1e-6,
) -> NormalizationGradients:
    """Gradients of :func:`filter_response_norm`, given ``grad_output = dL/dy``.

    Those of ``threshold`` and ``learned_epsilon`` are ``None`` where these were not given.

    Examples
    --------
    >>> import martlet
    >>> martlet.filter_response_norm_gradients([[[-1.0], [7.0]]], [[[1.0], [2.0]]], threshold=[0.0]).grad_threshold
    array([1.], dtype=float32)
    """
    options = _options(_abi.FILTER_RESPONSE_NORM, epsilon)
    given = ((scale, "scale"), (shift, "shift"), (threshold, "threshold"), (learned_epsilon, "learned_epsilon"))
    return _backward(options, x, grad_output, 2, *given)
