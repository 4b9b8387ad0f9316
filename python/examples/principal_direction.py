"""Matrix products on arrays of one's own: the direction in which handwritten digits differ most, by power iteration.

python examples/principal_direction.py
"""

from pathlib import Path

import numpy as np

import martlet

table = np.loadtxt(Path(__file__).resolve().parents[2] / "examples" / "data" / "digits.csv", delimiter=",", dtype=np.float32)
x = table[:, :64] - table[:, :64].mean(axis=0)

direction = np.full((64, 1), 0.125, np.float32)
along, turned = np.empty((len(x), 1), np.float32), np.empty((64, 1), np.float32)
for _ in range(300):
    martlet.matmul(x, direction, out=along)
    martlet.matmul(x.T, along, out=turned)  # a transposed view is read where it lies
    variance = np.linalg.norm(turned)
    direction = turned / variance

off = np.abs(martlet.matmul(x.T, martlet.matmul(x, direction)) / variance - direction).max()
print(f"one direction of 64 holds {100 * variance / (x * x).sum():.1f} % of the variance; eigenvector off by {off:.1e}")
