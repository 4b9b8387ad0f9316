"""The workloads."""

from __future__ import annotations

from . import convolution, matrix_product, normalization, single_row, training_step
from .case import Case, WrongAnswerError

CASES: list[Case] = [
    *training_step.CASES,
    *normalization.CASES,
    *convolution.CASES,
    *single_row.CASES,
    *matrix_product.CASES,
]

__all__ = ["CASES", "Case", "WrongAnswerError"]
