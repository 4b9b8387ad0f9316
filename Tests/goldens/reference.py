"""What the golden scripts share: made-up data and the rounding of float64 results.

Inputs come from a written-down integer generator, not from a library's, so that they stay the same for ever.
All arithmetic is PyTorch's in float64 on inputs that are exact in float32, and each result is rounded once: the
files hold the right answer to the last bit or nearly so, not one library's float32 error.
"""

import platform

import torch

VERSIONS = f"made by make_goldens.py with PyTorch {torch.__version__}, Python {platform.python_version()}, float64"

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


class Numbers:
    """The 64-bit linear congruential generator of Knuth's MMIX; the upper bits of its state are used."""

    def __init__(self, seed):
        self.state = seed
        for _ in range(4):  # a small seed shows in the first outputs
            self.below(2)

    def below(self, bound):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % bound

    def grid(self, shape, steps, scale):
        """Multiples of `scale` in -steps·scale … steps·scale: few bits, exact in float32."""
        count = torch.Size(shape).numel()
        return torch.tensor([scale * (self.below(2 * steps + 1) - steps) for _ in range(count)]).reshape(shape)

    def bell(self, shape, mean=0.0, deviation=1.0):
        """A sum of 12 uniform numbers: nearly normal. Rounded to float32."""
        count = torch.Size(shape).numel()
        sums = [sum(self.below(2**24) for _ in range(12)) / 2**24 - 6 for _ in range(count)]
        return (torch.tensor(sums).reshape(shape) * deviation + mean).float().double()


def add_tensor(writer, name, tensor):
    """A float64 tensor as a float32 record (rounded here, once), an integer one as int64."""
    tensor = tensor.detach()
    if tensor.is_floating_point():
        writer.add(name, "float32", tuple(tensor.shape), tensor.float().double().flatten().tolist())
    else:
        writer.add(name, "int64", tuple(tensor.shape), tensor.flatten().tolist())


def add_scalar(writer, name, value):
    writer.add(name, "int64" if isinstance(value, int) else "float64", (), [value])
