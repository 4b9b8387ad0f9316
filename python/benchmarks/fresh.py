"""A fresh process up to its first finished step of W1: ``python -m benchmarks.fresh LIBRARY``.

Prints JSON: seconds since the start of this file after NumPy, after the library and after the step; resident bytes; the loss.
Imports nothing it need not, so that the parent's clock sees what a user's script would take.
"""

import sys
import time

BEGUN = time.perf_counter()
SIZES = (784, 100, 100, 100)
CLASSES, BATCH, RATE = 10, 60, 0.1


def martlet_step(x, labels, marks):
    import martlet

    martlet.set_num_threads(1)
    marks["library"] = time.perf_counter() - BEGUN
    layers = []
    for width in SIZES[1:]:
        layers += [martlet.Dense(width, bias=False), martlet.BatchNorm(), martlet.Sigmoid()]
    net = martlet.Sequential([*layers, martlet.Dense(CLASSES)], input_shape=SIZES[:1])
    trainer = martlet.Trainer(net, loss="cross_entropy", optimizer=martlet.SGD(learning_rate=RATE))
    return trainer.step(x, labels).loss


def torch_step(x, labels, marks):
    import torch

    torch.set_num_threads(1)
    marks["library"] = time.perf_counter() - BEGUN
    layers = []
    for features, width in zip(SIZES, SIZES[1:]):
        layers += [torch.nn.Linear(features, width, bias=False), torch.nn.BatchNorm1d(width), torch.nn.Sigmoid()]
    net = torch.nn.Sequential(*layers, torch.nn.Linear(SIZES[-1], CLASSES))
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    loss = torch.nn.functional.cross_entropy(net(torch.from_numpy(x)), torch.from_numpy(labels))
    loss.backward()
    optimizer.step()
    return loss.item()


def jax_step(x, labels, marks):
    import jax
    import jax.numpy as jnp
    import numpy as np

    marks["library"] = time.perf_counter() - BEGUN
    random = np.random.default_rng(1)
    parameters = []
    for features, width in zip(SIZES, (*SIZES[1:], CLASSES)):
        weight = random.normal(0, features**-0.5, (features, width)).astype(np.float32)
        parameters.append((weight, np.ones(width, np.float32), np.zeros(width, np.float32)))
    statistics = [(np.zeros(width, np.float32), np.ones(width, np.float32)) for width in SIZES[1:]]

    def loss_of(parameters, x, labels):
        moments = []
        for weight, scale, shift in parameters[:-1]:
            z = x @ weight
            mean, variance = z.mean(0), z.var(0)
            moments.append((mean, variance))
            x = jax.nn.sigmoid((z - mean) * jax.lax.rsqrt(variance + 1e-5) * scale + shift)
        weight, _, bias = parameters[-1]
        logs = jax.nn.log_softmax(x @ weight + bias)
        return -jnp.take_along_axis(logs, labels[:, None], axis=1).mean(), moments

    @jax.jit
    def step(parameters, statistics, x, labels):
        (loss, moments), gradients = jax.value_and_grad(loss_of, has_aux=True)(parameters, x, labels)
        statistics = jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, statistics, moments)
        return jax.tree.map(lambda p, g: p - RATE * g, parameters, gradients), statistics, loss

    return float(jax.block_until_ready(step(parameters, statistics, x, labels))[2])


def tensorflow_step(x, labels, marks):
    import tensorflow as tf

    marks["library"] = time.perf_counter() - BEGUN
    layers = []
    for width in SIZES[1:]:
        dense = tf.keras.layers.Dense(width, use_bias=False)
        layers += [dense, tf.keras.layers.BatchNormalization(), tf.keras.layers.Activation("sigmoid")]
    net = tf.keras.Sequential([tf.keras.Input(SIZES[:1]), *layers, tf.keras.layers.Dense(CLASSES)])
    optimizer = tf.keras.optimizers.SGD(RATE)
    with tf.GradientTape() as tape:
        logits = net(x, training=True)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
    optimizer.apply_gradients(zip(tape.gradient(loss, net.trainable_variables), net.trainable_variables))
    return float(loss)


def numpy_step(x, labels, marks):
    """The floor: no step."""
    marks["library"] = time.perf_counter() - BEGUN


STEPS = {
    "numpy": numpy_step,
    "martlet": martlet_step,
    "torch": torch_step,
    "jax": jax_step,
    "tensorflow": tensorflow_step,
}


def main(library):
    import numpy as np

    random = np.random.default_rng(0)
    x = random.uniform(0, 1, (BATCH, SIZES[0])).astype(np.float32)
    labels = random.integers(0, CLASSES, BATCH)
    marks = {"numpy": time.perf_counter() - BEGUN}
    marks["loss"] = STEPS[library](x, labels, marks)
    marks["step"] = time.perf_counter() - BEGUN
    with open("/proc/self/status") as file:
        marks["resident"] = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))
    import json

    print(json.dumps(marks), flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except ImportError as error:
        sys.exit(f"missing: {error.name}")
