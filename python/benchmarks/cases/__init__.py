"""The workloads."""

from __future__ import annotations

from . import convolution, image_network, matrix_product, normalization, single_row, training_step
from .case import Case, WrongAnswerError

CASES: list[Case] = [
    *training_step.CASES,
    *normalization.CASES,
    *convolution.CASES,
    *image_network.CASES,
    *single_row.CASES,
    *matrix_product.CASES,
]

__all__ = ["CASES", "Case", "WrongAnswerError"]
