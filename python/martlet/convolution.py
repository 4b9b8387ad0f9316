"""The convolution as a plain function on arrays, and its gradients."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _abi, _arguments
from ._array import Array, as_array, as_optional_array, as_output, reference
from ._errors import InvalidArgumentError, ShapeError
from ._library import library
from .layers._windows import Pair, as_pair, as_sides, padding_fields
from .layers.convolution import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Optional

    from numpy.typing import ArrayLike

    Wanted = Optional[Array]
else:  # Python 3.9 cannot join these at run time, and nothing needs them then
    Wanted = Any

_GRADIENTS = {"input": 0, "weight": 1, "bias": 2}


class ConvolutionGradients(NamedTuple):
    """Gradients of :func:`conv2d`; ``None`` where not wanted."""

    grad_input: Wanted
    grad_weight: Wanted
    grad_bias: Wanted


def conv2d(
    x: ArrayLike,
    weight: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    strides: int | Pair = 1,
    padding: Any = "valid",
    dilation: int | Pair = 1,
    groups: int = 1,
    algorithm: str = "automatic",
    out: Array | None = None,
) -> Array:
    """Convolution of images.

    ::

        y[n, h, w, o] = Σ x[n, h·stride + i·dilation − pad, …, c] · weight[o, c, i, j] + bias[o]

    What the layer :class:`Conv2D` computes, to the bit. Contiguous float32 is read and written in place; anything else is
    converted first.

    Parameters
    ----------
    x : array
        ``[N, height, width, channels]``.
    weight : array
        ``[filters, channels / groups, kernel height, kernel width]``, as in PyTorch.
    bias : array, optional
        ``[filters]``.
    strides, padding, dilation, groups, algorithm : optional
        As of :class:`Conv2D`.
    out : array, optional
        Contiguous float32 of the result's shape that receives it; shares no memory with the other arrays.

    Returns
    -------
    array
        ``[N, out height, out width, filters]``, float32.

    Raises
    ------
    ShapeError
        ``x``, ``weight``, ``bias`` or ``out`` do not fit each other.
    InvalidArgumentError
        An option out of its range; ``out`` that shares memory.

    Examples
    --------
    >>> import numpy as np, martlet
    >>> image = np.arange(9).reshape(1, 3, 3, 1)
    >>> martlet.conv2d(image, np.ones((1, 1, 2, 2)), [100]).squeeze()
    array([[108., 112.],
           [120., 124.]], dtype=float32)
    """
    images, filters, biases = as_array(x, "x"), as_array(weight, "weight"), as_optional_array(bias, "bias")
    options = _options(strides, padding, dilation, groups, algorithm)
    y = as_output(_result_shape(images, filters, options), out)
    library().martlet_convolution(reference(images), reference(filters), reference(biases), ctypes.byref(options), reference(y))
    return y


def conv2d_gradients(
    x: ArrayLike,
    grad_output: ArrayLike,
    weight: ArrayLike,
    *,
    strides: int | Pair = 1,
    padding: Any = "valid",
    dilation: int | Pair = 1,
    groups: int = 1,
    algorithm: str = "automatic",
    wants: Iterable[str] = ("input", "weight", "bias"),
    out: tuple[Array | None, Array | None, Array | None] | None = None,
) -> ConvolutionGradients:
    """Gradients of :func:`conv2d`, given ``grad_output = dL/dy``.

    Parameters
    ----------
    x, weight, strides, padding, dilation, groups, algorithm
        As in the forward call.
    grad_output : array
        The shape of its result.
    wants : collection of {"input", "weight", "bias"}, optional
        Which gradients are computed; the others cost nothing.
    out : ConvolutionGradients or tuple of three arrays, optional
        Contiguous float32 arrays that receive the gradients, such as the last call's result: no memory is made then. ``None``
        in a place: a new array, where its gradient is wanted.

    Returns
    -------
    ConvolutionGradients
        ``grad_input`` (the shape of ``x``), ``grad_weight`` (that of ``weight``), ``grad_bias`` (``[filters]``), float32.

    Examples
    --------
    >>> import numpy as np, martlet
    >>> x, weight = np.arange(9).reshape(1, 3, 3, 1), np.ones((1, 1, 2, 2))
    >>> gradients = martlet.conv2d_gradients(x, np.ones((1, 2, 2, 1)), weight, wants=["weight"])
    >>> gradients.grad_weight.squeeze()
    array([[ 8., 12.],
           [20., 24.]], dtype=float32)
    """
    images, filters, grads = as_array(x, "x"), as_array(weight, "weight"), as_array(grad_output, "grad_output")
    options = _options(strides, padding, dilation, groups, algorithm)
    places: list[Array | None] = [None, None, None] if out is None else list(out)
    if len(places) != 3:
        raise InvalidArgumentError(f"out must hold three arrays (grad_input, grad_weight, grad_bias); got {len(places)}")
    wanted = _wanted(wants)
    shapes = (images.shape, filters.shape, filters.shape[:1])
    for place, (name, shape) in enumerate(zip(_GRADIENTS, shapes)):
        if place in wanted:
            places[place] = as_output(shape, places[place], f"out[{place}]")
        elif places[place] is not None:
            raise InvalidArgumentError(f'out[{place}] is given, but wants does not name "{name}"')
    library().martlet_convolution_gradients(
        reference(images),
        reference(filters),
        ctypes.byref(options),
        reference(grads),
        *[reference(array) for array in places],
    )
    return ConvolutionGradients(*places)


def _wanted(names: Iterable[str]) -> set[int]:
    """Places in the result."""
    if isinstance(names, str):
        raise InvalidArgumentError(
            f'wants must be a collection of names such as ("input", "weight"); got {_arguments.shown(names)}'
        )
    try:
        listed = list(names)
    except TypeError:
        raise InvalidArgumentError(f"wants must be a collection of names; got {_arguments.shown(names)}") from None
    return {_arguments.one_of(name, f"wants[{index}]", _GRADIENTS) for index, name in enumerate(listed)}


def _result_shape(x: Array, weight: Array, options: _abi.martlet_convolution_options) -> tuple[int, ...]:
    for name, array, axes in (
        ("x", x, "[rows, height, width, channels]"),
        ("weight", weight, "[filters, channels / groups, kernel height, kernel width]"),
    ):
        if array.ndim != 4:
            raise ShapeError(f"{name} has shape {list(array.shape)}; expected {axes}")
    shapes = ctypes.c_int64 * 4
    found = shapes()
    library().martlet_convolution_shape(found, shapes(*x.shape), shapes(*weight.shape), ctypes.byref(options))
    return tuple(found)


def _options(
    strides: int | Pair, padding: Any, dilation: int | Pair, groups: int, algorithm: str
) -> _abi.martlet_convolution_options:
    options: _abi.martlet_convolution_options = _abi.sized(
        _abi.martlet_convolution_options,
        strides=as_pair(strides, "strides"),
        dilation=as_pair(dilation, "dilation"),
        groups=_arguments.integer(groups, "groups", 1),
        algorithm=_arguments.one_of(algorithm, "algorithm", ALGORITHMS),
        **padding_fields(as_sides(padding)),
    )
    return options
