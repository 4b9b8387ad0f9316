"""NumPy: OpenBLAS's sgemm."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ..cases.matrix_product import MatrixProduct
from .library import Contender, Library, Makers


class NumPy(Library):
    """Products of matrices only; the rest of NumPy is no peer."""

    name: ClassVar[str] = "numpy"

    def version(self) -> str:
        blas: Any = np.show_config(mode="dicts")
        library = blas.get("Build Dependencies", {}).get("blas", {}) if isinstance(blas, dict) else {}
        return f"{np.__version__} ({library.get('name', 'unknown BLAS')} {library.get('version', '')})"

    def matrix_product(self, case: MatrixProduct) -> Makers:
        def make() -> Contender:
            data = case.data()
            a = data["a"].T if case.transposed_a else data["a"]
            b = data["b"].T if case.transposed_b else data["b"]
            out = np.empty((case.rows, case.columns), np.float32)
            return Contender(lambda: {"c": a @ b}, lambda: np.matmul(a, b, out=out))

        return {"": make}
