"""Convolution as a plain function: finds edges in handwritten digits, then learns the same filters from the edges alone.

python examples/convolution.py
"""

from pathlib import Path

import numpy as np

import martlet

table = np.loadtxt(Path(__file__).resolve().parents[2] / "examples" / "data" / "digits.csv", delimiter=",", dtype=np.float32)
images = table[:, :64].reshape(-1, 8, 8, 1) / 16

# Sobel's filters, as [filters, channels, height, width]: what rises from left to right, and what rises downwards.
across = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
sobel = np.stack([across, across.T])[:, None]
edges = martlet.conv2d(images, sobel, padding="same")

print("the first digit, and how steep its edges are")
steepness = np.hypot(edges[0, :, :, 0], edges[0, :, :, 1])
for pixels, steep in zip(images[0, :, :, 0], steepness):
    print("".join(" .:*#"[int(4 * value)] for value in pixels), "|", "".join(" .:*#"[min(4, int(value))] for value in steep))

# Filters that start at nothing, and descend along the gradient of the mean squared difference from those edges.
filters, bias = np.zeros_like(sobel), np.full(2, 0.5, np.float32)
step, gradients = 0.4, None
for _ in range(1000):
    difference = martlet.conv2d(images, filters, bias, padding="same") - edges
    gradients = martlet.conv2d_gradients(
        images, 2 / difference[..., 0].size * difference, filters, padding="same", wants=["weight", "bias"], out=gradients
    )
    filters -= step * gradients.grad_weight
    bias -= step * gradients.grad_bias
print("learned from left to right:")
print(filters[0, 0].round(2))
print(f"largest error {np.abs(filters - sobel).max():.1e}, of the bias {np.abs(bias).max():.1e}")
