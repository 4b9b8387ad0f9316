"""Images whose axes are in another order get advice, not only two shapes."""

from __future__ import annotations

import numpy as np
import pytest

import martlet
from martlet import Conv2D, Dense, Flatten, Input, MaxPool2D, Sequential


def test_layers_on_rows_with_the_channels_first():
    for layer in (Conv2D(4, 3), MaxPool2D(2)):
        with pytest.raises(
            martlet.ShapeError, match=r"looks like \[channels, height, width\].* the shape \[28, 28, 1\]"
        ) as caught:
            Sequential([layer], input_shape=(1, 28, 28))
        assert 'layout="channels_first"' in str(caught.value)
    # Small images are small images.
    with pytest.raises(martlet.ShapeError) as caught:
        Sequential([Conv2D(4, 5)], input_shape=(3, 3, 64))
    assert "looks like" not in str(caught.value)


def test_batches_in_the_other_order():
    last = Sequential([Flatten(), Dense(2)], input_shape=(8, 6, 3))
    first = Sequential([Input((3, 8, 6), layout="channels_first"), Flatten(), Dense(2)])
    with pytest.raises(martlet.ShapeError, match=r"looks like channels-first data.* move axis 1 to the end"):
        last(np.zeros((5, 3, 8, 6)))
    with pytest.raises(martlet.ShapeError, match=r"looks like channels-last data.* move the last axis to axis 1"):
        first(np.zeros((5, 8, 6, 3)))
    with pytest.raises(martlet.ShapeError, match=r"looks like a single row: give it as a batch of shape \[1, 8, 6, 3\]"):
        last(np.zeros((8, 6, 3)))
    for shape in ((5, 8, 6, 4), (5, 6, 8, 3), (5, 3)):
        with pytest.raises(martlet.ShapeError) as caught:
            last(np.zeros(shape))
        assert "looks like" not in str(caught.value)
