"""Images on their way into a network: random changes while training, and normalisation."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Union

from . import _abi, _arguments
from ._errors import InvalidArgumentError

if TYPE_CHECKING:
    #: One number for all channels, or one for each.
    PerChannel = Union[float, Sequence[float]]


class Augmentation:
    """Random changes of training images, in this order; each is off by default.

    Padding and holes are 0 after normalisation, which is the channel's mean. What happens to an image in an epoch depends on
    the fit's seed, the epoch and the image's number alone: not on threads, batch size or order.

    Parameters
    ----------
    crop_padding : int, optional
        Pixels around the image, of which a random crop of the image's size is taken; less than height and width.
    flip : bool, optional
        Whether an image is mirrored left to right with probability ½.
    cutout : int, optional
        Side of a square around a random pixel that becomes 0; at most the smaller of height and width.

    Examples
    --------
    >>> from martlet import Augmentation
    >>> Augmentation(crop_padding=4, flip=True, cutout=8)
    Augmentation(crop_padding=4, flip=True, cutout=8)
    """

    def __init__(self, crop_padding: int = 0, flip: bool = False, cutout: int = 0) -> None:
        self.crop_padding = _arguments.integer(crop_padding, "crop_padding")
        self.flip = bool(_arguments.flag(flip, "flip"))
        self.cutout = _arguments.integer(cutout, "cutout")

    def _struct(self) -> Any:
        return _abi.sized(
            _abi.martlet_augmentation_options,
            crop_padding=self.crop_padding,
            cutout=self.cutout,
            flip=int(self.flip),
        )

    def __repr__(self) -> str:
        return f"Augmentation(crop_padding={self.crop_padding}, flip={self.flip}, cutout={self.cutout})"


def augmentation_pointer(value: Augmentation | None) -> Any:
    """What the library is told of an augmentation; NULL for none."""
    if value is None:
        return None
    if not isinstance(value, Augmentation):
        raise InvalidArgumentError(
            f"augment must be an Augmentation or None; got {_arguments.shown(value)} ({type(value).__name__})"
        )
    return ctypes.pointer(value._struct())


def normalization_pointer(value: tuple[PerChannel, PerChannel] | None) -> Any:
    """What the library is told of a pair (mean, standard deviation); NULL for none."""
    if value is None:
        return None
    try:
        mean, deviation = value
    except (TypeError, ValueError):
        raise InvalidArgumentError(
            "normalize must be a pair (mean, standard deviation), each a number or one number for each channel"
        ) from None
    means, deviations = _numbers(mean, "mean"), _numbers(deviation, "standard deviation")
    count = max(len(means), len(deviations))
    # One number beside several stands for all of them.
    means, deviations = (numbers * count if len(numbers) == 1 else numbers for numbers in (means, deviations))
    if not count or len(means) != len(deviations):
        raise InvalidArgumentError(
            f"normalize needs as many means as standard deviations; got {len(means)} and {len(deviations)}"
        )
    row = ctypes.c_double * count
    return ctypes.pointer(
        _abi.sized(_abi.martlet_image_normalization, count=count, mean=row(*means), standard_deviation=row(*deviations))
    )


def _numbers(value: Any, name: str) -> list[float]:
    try:
        items = list(value)
    except TypeError:
        items = [value]
    return [_arguments.real(item, f"normalize: {name}") for item in items]
