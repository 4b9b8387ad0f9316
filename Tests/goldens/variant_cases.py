"""BatchNorm's variants, one training step each: padding that does not count and renormalisation by Keras, virtual batches by PyTorch.

Keras computes in float64 too (its fuzz of 1e-7 beside sums of weights set to 0). Its moving variance is the biased one, and under
`renorm` it follows deviations, not variances: there only outputs and gradients are compared.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import tensorflow as tf
import torch
from golden_file import Writer
from reference import VERSIONS, Numbers, add_scalar, add_tensor
from torch.nn.functional import batch_norm

EPSILON, MOMENTUM = 1e-5, 0.9
TITLE = f"""BatchNorm's variants, epsilon 1e-5, momentum 0.9: one training step each. The channel is the last axis.
{VERSIONS}; masks and renormalisation by Keras {keras.__version__} with TensorFlow {tf.__version__}, float64
<case>/x, grad_output, scale, shift, moving_mean_0, moving_variance_0: what goes in; mask_...: weights, of 0 and 1.
renorm_...: r_max, d_max, the limits. virtual_...: virtual_batch_size.
<case>/y, grad_input, grad_scale, grad_shift: what comes out; mask_..., virtual_...: moving_mean, moving_variance behind the step,
biased for masks."""


def keras_step(x, grad_output, inputs, mask=None, **options):
    """y, gradients and the layer after one step."""
    layer = keras.layers.BatchNormalization(epsilon=EPSILON, momentum=MOMENTUM, dtype="float64", **options)
    layer.build(tuple(x.shape))
    layer.gamma.assign(inputs["scale"].numpy())
    layer.beta.assign(inputs["shift"].numpy())
    layer.moving_mean.assign(inputs["moving_mean_0"].numpy())
    layer.moving_variance.assign(inputs["moving_variance_0"].numpy())
    if options.get("renorm"):
        layer.renorm_mean.assign(inputs["moving_mean_0"].numpy())
        layer.renorm_stddev.assign((inputs["moving_variance_0"] + EPSILON).sqrt().numpy())
    value = tf.Variable(x.numpy())
    with tf.GradientTape() as tape:
        y = layer(value, training=True, mask=None if mask is None else tf.constant(mask.numpy() > 0))
        loss = tf.reduce_sum(y * grad_output.numpy())
    gradients = tape.gradient(loss, [value, layer.gamma.value, layer.beta.value])
    return [torch.from_numpy(result.numpy()) for result in (y, *gradients)], layer


def torch_step(x, grad_output, inputs, size):
    """The same by PyTorch, one virtual batch after the other on one set of moving statistics."""
    x = x.clone().requires_grad_()
    weight, bias = inputs["scale"].clone().requires_grad_(), inputs["shift"].clone().requires_grad_()
    mean, variance = inputs["moving_mean_0"].clone(), inputs["moving_variance_0"].clone()
    parts = [
        batch_norm(part.movedim(-1, 1), mean, variance, weight, bias, True, 1 - MOMENTUM, EPSILON).movedim(1, -1)
        for part in x.split(size)
    ]
    y = torch.cat(parts)
    return [y, *torch.autograd.grad(y, (x, weight, bias), grad_output)], mean, variance


def write_all(folder):
    writer = Writer(TITLE)
    keras.config.set_epsilon(0.0)

    def case(name, shape, seed):
        numbers = Numbers(seed)
        channels = shape[-1]
        means = torch.tensor([0.5 * ((7 * c) % 11) - 2 for c in range(channels)])
        deviations = torch.tensor([0.25 * (1 + (5 * c) % 7) for c in range(channels)])
        x = (numbers.bell(shape) * deviations + means).float().double()
        grad_output = numbers.bell(shape)
        inputs = {"scale": numbers.bell((channels,), 1.0, 0.5), "shift": numbers.bell((channels,))}
        # Near the batch's statistics, so that some corrections are within their limits.
        inputs["moving_mean_0"] = (numbers.bell((channels,)) * 0.5 * deviations + means).float().double()
        inputs["moving_variance_0"] = ((deviations * numbers.bell((channels,), 1.0, 0.3)) ** 2 + 0.02).float().double()
        for record, tensor in {"x": x, "grad_output": grad_output, **inputs}.items():
            add_tensor(writer, f"{name}/{record}", tensor)
        return numbers, x, grad_output, inputs

    def results(name, tensors):
        for record, tensor in zip(("y", "grad_input", "grad_scale", "grad_shift"), tensors):
            add_tensor(writer, f"{name}/{record}", tensor)

    for name, shape, seed in (("mask_sequences", (4, 6, 5), 11), ("mask_images", (3, 2, 3, 17), 12)):
        numbers, x, grad_output, inputs = case(name, shape, seed)
        mask = (numbers.grid(shape[:-1], 3, 1.0) > -1).double()
        add_tensor(writer, f"{name}/weights", mask)
        tensors, layer = keras_step(x, grad_output, inputs, mask)
        results(name, tensors)
        add_tensor(writer, f"{name}/moving_mean", torch.from_numpy(layer.moving_mean.numpy()))
        add_tensor(writer, f"{name}/moving_variance", torch.from_numpy(layer.moving_variance.numpy()))

    for name, shape, r_max, d_max, seed in (
        ("renorm_tight", (7, 9), 1.1, 0.25, 21),
        ("renorm_wide", (7, 9), 3.0, 5.0, 22),
        ("renorm_images", (3, 2, 3, 17), 1.5, 0.5, 23),
    ):
        _, x, grad_output, inputs = case(name, shape, seed)
        add_scalar(writer, f"{name}/r_max", r_max)
        add_scalar(writer, f"{name}/d_max", d_max)
        clipping = {"rmin": 1 / r_max, "rmax": r_max, "dmax": d_max}
        results(name, keras_step(x, grad_output, inputs, renorm=True, renorm_clipping=clipping)[0])

    for name, shape, size, seed in (("virtual_rows", (11, 5), 4, 31), ("virtual_images", (7, 2, 2, 17), 2, 32)):
        _, x, grad_output, inputs = case(name, shape, seed)
        add_scalar(writer, f"{name}/virtual_batch_size", size)
        tensors, mean, variance = torch_step(x, grad_output, inputs, size)
        results(name, tensors)
        add_tensor(writer, f"{name}/moving_mean", mean)
        add_tensor(writer, f"{name}/moving_variance", variance)
    writer.write(folder / "batch_norm_variants.golden")
