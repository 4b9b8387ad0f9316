"""Answers from PyTorch in float64, shared with the Swift and C tests (Tests/goldens/README.md describes the files).

Tolerances are absolute, made from the magnitudes that enter a sum: ``UNIT`` float32 roundings of each.
"""

from __future__ import annotations

import numpy as np
import pytest
from conftest import REPOSITORY

import martlet
from martlet import (
    SGD,
    Adam,
    AdamW,
    AvgPool2D,
    BatchNorm,
    BatchRenormalization,
    Conv2D,
    Dense,
    GlobalAvgPool2D,
    Input,
    MaxPool2D,
    Model,
    Sequential,
    Sigmoid,
    Tanh,
    Trainer,
    Upsample2D,
    ZeroPad2D,
)

FOLDER = REPOSITORY / "Tests" / "goldens"
#: A float32 rounding of a value near 1 is 6e-8; a result passes through a few, a sum of n through about √n.
UNIT = 1e-6


def read(name):
    """{record: array} of one file."""
    lines = (FOLDER / f"{name}.golden").read_text(encoding="ascii").splitlines()
    words = iter([word for line in lines if not line.startswith("#") for word in line.split()])
    records = {}
    for record in words:
        dtype, rank = next(words), int(next(words))
        shape = [int(next(words)) for _ in range(rank)]
        convert = int if dtype == "int64" else float.fromhex
        values = [convert(next(words)) for _ in range(int(np.prod(shape, dtype=np.int64)))]
        records[record] = np.array(values, dtype).reshape(shape)
    return records


def cases(name):
    """(case, its records) for every case of a file."""
    records = read(name)
    found = {}
    for record, value in records.items():
        case, slash, rest = record.partition("/")
        if slash and case != "start":
            found.setdefault(case, {})[rest] = value
    common = {record: value for record, value in records.items() if "/" not in record}
    return [(common, case, own) for case, own in found.items()]


def of(*names):
    return [pytest.param(common, own, id=f"{name}-{case}") for name in names for common, case, own in cases(name)]


def close(found, expected, bound, what):
    """Within ``bound`` everywhere."""
    error = np.abs(np.asarray(found, float) - np.asarray(expected, float)).max(initial=0)
    assert error <= bound, f"{what}: off by {error:.2e}, allowed {bound:.2e}"


@pytest.mark.parametrize(("common", "own"), of("batch_norm_1", "batch_norm_5", "batch_norm_33", "batch_norm_image"))
def test_batch_norm(common, own):
    layer = BatchNorm(
        None if own["cumulative"] else float(own["momentum"]),
        scale=bool(own["scale"]),
        shift=bool(own["shift"]),
        biased_moving_variance=bool(own["biased"]),
        normalize_with="moving" if own["normalize_with_moving"] else "batch",
        updates_moving=bool(own["updates_moving"]),
    )
    net = Sequential([layer], input_shape=common["x_1"].shape[1:])
    for local, value in (("weight", common["scale"]), ("bias", common["shift"])):
        if f"0.{local}" in net.parameters():
            net.parameters()[f"0.{local}"][:] = value
    net.state()["0.running_mean"][:] = common["moving_mean_0"]
    net.state()["0.running_var"][:] = common["moving_variance_0"]
    size = np.abs(common["scale"]).max() if own["scale"] else 1.0
    for step in (1, 2, 3):
        x, r = common[f"x_{step}"], common[f"grad_output_{step}"]
        rows = x.size // x.shape[-1]
        flat = x.reshape(-1, x.shape[-1]).astype(float)
        variance = net.state()["0.running_var"].astype(float) if own["normalize_with_moving"] else flat.var(0)
        inverse = 1 / np.sqrt(variance + 1e-5).min()
        spread = np.abs(own[f"y_{step}"]).max() + 1
        close(net.forward(x, training=True), own[f"y_{step}"], 4 * UNIT * spread, f"y_{step}")
        grad = net.backward(r)
        close(grad, own[f"grad_input_{step}"], 8 * UNIT * size * inverse * np.abs(r).max() * spread, f"grad_input_{step}")
        for local, name in (("weight", "grad_scale"), ("bias", "grad_shift")):
            if f"{name}_{step}" in own:
                bound = 4 * UNIT * rows * np.abs(r).max() * spread
                close(net.gradients()[f"0.{local}"], own[f"{name}_{step}"], bound, f"{name}_{step}")
        for local, name in (("running_mean", "moving_mean"), ("running_var", "moving_variance")):
            expected = own[f"{name}_{step}"]
            close(net.state()[f"0.{local}"], expected, 4 * UNIT * (1 + np.abs(expected).max()), f"{name}_{step}")
    expected = own["y_inference"]
    close(net(common["x_inference"]), expected, 8 * UNIT * (1 + np.abs(expected).max()), "y_inference")


@pytest.mark.parametrize(("common", "own"), of("dense"))
def test_dense(common, own):
    net = Sequential([Dense(len(own["weight"]), bias="bias" in own)], input_shape=own["x"].shape[1:])
    for local, value in net.parameters().items():
        value[:] = own[local[2:]]
    bounds = {
        "y": own["x"].shape[1] * np.abs(own["x"]).max() * np.abs(own["weight"]).max(),
        "grad_input": len(own["weight"]) * np.abs(own["grad_output"]).max() * np.abs(own["weight"]).max(),
        "grad_weight": len(own["x"]) * np.abs(own["grad_output"]).max() * np.abs(own["x"]).max(),
        "grad_bias": len(own["x"]) * np.abs(own["grad_output"]).max(),
    }
    found = {"y": net.forward(own["x"], training=True), "grad_input": net.backward(own["grad_output"])}
    found.update({f"grad_{name[2:]}": value for name, value in net.gradients().items()})
    for name, value in found.items():
        close(value, own[name], UNIT * bounds[name], name)


def sides(pads):
    top, bottom, left, right = pads.tolist()
    return (top, bottom), (left, right)


@pytest.mark.parametrize(("common", "own"), of("convolution"))
def test_convolution(common, own):
    x, weight, r = own["x"], own["weight"], own["grad_output"]
    layer = Conv2D(
        len(weight),
        own["kernel"].tolist(),
        own["strides"].tolist(),
        sides(own["pads"]),
        own["dilation"].tolist(),
        int(own["groups"]),
        "bias" in own,
    )
    net = Sequential([layer], input_shape=x.shape[1:])
    net.load_state_dict({f"0.{name}": own[name] for name in ("weight", "bias") if name in own})
    kernel = weight[0, 0].size
    bounds = {
        "y": kernel * weight.shape[1] * np.abs(x).max() * np.abs(weight).max(),
        "grad_input": kernel * len(weight) * np.abs(r).max() * np.abs(weight).max(),
        "grad_weight": r[..., 0].size * np.abs(r).max() * np.abs(x).max(),
        "grad_bias": r[..., 0].size * np.abs(r).max(),
    }
    close(net(x), own["y"], UNIT * bounds["y"], "y at inference")
    found = {"y": net.forward(x, training=True), "grad_input": net.backward(r)}
    found.update({f"grad_{name[2:]}": value for name, value in net.gradients().items()})
    for name, value in found.items():
        close(value, own[name], UNIT * bounds[name], name)
    options = {
        "strides": own["strides"].tolist(),
        "padding": sides(own["pads"]),
        "dilation": own["dilation"].tolist(),
        "groups": int(own["groups"]),
    }
    close(martlet.conv2d(x, weight, own.get("bias"), **options), own["y"], UNIT * bounds["y"], "y of the function")
    for name, value in martlet.conv2d_gradients(x, r, weight, **options)._asdict().items():
        if name in own:
            close(value, own[name], UNIT * bounds[name], f"{name} of the function")


@pytest.mark.parametrize(("common", "own"), of("pooling"))
def test_pooling(common, own):
    x, size, strides, padding = own["x"], own["size"].tolist(), own["strides"].tolist(), sides(own["pads"])
    layer = (
        lambda: MaxPool2D(size, strides, padding),
        lambda: AvgPool2D(size, strides, padding),
        lambda: AvgPool2D(size, strides, padding, count_includes_pad=True),
        GlobalAvgPool2D,
        lambda: Upsample2D(size),
        lambda: ZeroPad2D(padding),
    )[int(own["kind"])]()
    net = Sequential([layer], input_shape=x.shape[1:])
    for name, value in (("y", net.forward(x, training=True)), ("grad_input", net.backward(own["grad_output"]))):
        close(value, own[name], UNIT * size[0] * size[1] * np.abs(own["x" if name == "y" else "grad_output"]).max(), name)


@pytest.mark.parametrize(("common", "own"), of("losses"))
def test_losses(common, own):
    kind = ["cross_entropy", "mse", "bce"][int(own["kind"])]
    found = martlet.loss(kind, own["output"], own["target"])
    size = 1 + abs(float(own["loss"]))
    close(found.loss, own["loss"], UNIT * size, "loss")
    close(found.gradient, own["gradient"], UNIT * (1 + np.abs(own["gradient"]).max()), "gradient")
    if "correct" in own:
        assert found.correct == own["correct"]


def paper_network():
    layers = []
    for number in (1, 2, 3):
        layers += [Dense(100, name=f"dense{number}"), BatchNorm(name=f"norm{number}"), Sigmoid(name=f"sigmoid{number}")]
    net = Sequential([*layers, Dense(10, name="dense4")], input_shape=(64,))
    net.load_state_dict(read("paper_network_start"), strict=False)
    return net


def check_paper_network(net, losses, correct):
    golden = {**read("paper_network"), **read("paper_network_hidden")}
    # Rounding grows from step to step, by the learning rate times the curvature; twenty steps keep it within ten roundings.
    close(losses, golden["losses"], 10 * UNIT, "losses")
    assert correct == golden["correct"].tolist()
    state = net.state_dict()
    for record, expected in golden.items():
        if record.startswith("end/"):
            close(state[record[4:]], expected, 20 * UNIT * (1 + np.abs(expected).max()), record)
    close(net(golden["x"][:60]), golden["logits"], 50 * UNIT, "logits")


def test_twenty_steps_of_the_papers_network():
    golden, net = read("paper_network"), paper_network()
    trainer = Trainer(net, optimizer=SGD(0.1))
    results = []
    for step in range(20):
        start = 60 * step % 300
        results.append(trainer.step(golden["x"][start : start + 60], golden["labels"][start : start + 60]))
    check_paper_network(net, [result.loss for result in results], [result.correct for result in results])


def test_the_same_twenty_steps_as_one_fit():
    golden, net = read("paper_network"), paper_network()
    results = []

    def watch(event):
        if event.kind == "step":
            results.append(event.training)

    Trainer(net, optimizer=SGD(0.1)).fit(golden["x"], golden["labels"], epochs=4, batch_size=60, shuffle=False, callbacks=watch)
    check_paper_network(net, [result.loss for result in results], [result.correct for result in results])


@pytest.mark.parametrize(("common", "own"), of("optimizers"))
def test_optimizers(common, own):
    options = {name: float(own[name]) for name in ("learning_rate", "weight_decay")}
    options["decays_scale_shift_bias"] = bool(own["decays_scale_shift_bias"])
    if own["kind"] == 0:
        rule = SGD(momentum=float(own["momentum"]), nesterov=bool(own["nesterov"]), **options)
    else:
        adam = {1: Adam, 2: AdamW}[int(own["kind"])]
        rule = adam(beta1=float(own["beta1"]), beta2=float(own["beta2"]), epsilon=float(own["epsilon"]), **options)
    layers = [Dense(7, bias=False, name="dense1"), BatchNorm(name="norm1"), Tanh(), Dense(3, name="dense2")]
    net = Sequential(layers, input_shape=(5,))
    start = {name[6:]: value for name, value in read("optimizers").items() if name.startswith("start/")}
    net.load_state_dict(start, strict=False)
    trainer = Trainer(net, optimizer=rule)
    losses = [trainer.step(common["x"], common["labels"]).loss for _ in range(10)]
    close(losses, own["losses"], 20 * UNIT, "losses")
    state = net.state_dict()
    for record, expected in own.items():
        if record.startswith("end/"):
            close(state[record[4:]], expected, 50 * UNIT * (1 + np.abs(expected).max()), record)


def test_the_comparison_can_fail():
    with pytest.raises(AssertionError, match="off by"):
        close([1.0, 2.0], [1.0, 2.1], 1e-3, "values")
    with pytest.raises(AssertionError):
        close([np.nan], [1.0], 1e-3, "values")


@pytest.mark.parametrize(("common", "own"), of("batch_norm_variants"))
def test_batch_norm_variants(common, own):
    options = {"biased_moving_variance": "weights" in own}
    if "r_max" in own:
        options["renormalization"] = BatchRenormalization(float(own["r_max"]), float(own["d_max"]), (0, 0), (0, 0))
    if "virtual_batch_size" in own:
        options["virtual_batch_size"] = int(own["virtual_batch_size"])
    x, r = own["x"], own["grad_output"]
    place = Input(x.shape[1:])
    layer = BatchNorm(**options, name="n")
    inputs = [x]
    if "weights" in own:
        mask = Input(x.shape[1:-1])
        net = Model([place, mask], layer(place, weights=mask))
        inputs.append(own["weights"])
    else:
        net = Model(place, layer(place))
    for local, name in (("weight", "scale"), ("bias", "shift")):
        net.parameters()[f"n.{local}"][:] = own[name]
    for local, name in (("running_mean", "moving_mean_0"), ("running_var", "moving_variance_0")):
        net.state()[f"n.{local}"][:] = own[name]
    spread = np.abs(own["y"]).max() + 10
    close(net.forward(inputs if len(inputs) == 2 else x, training=True), own["y"], 8 * UNIT * spread, "y")
    gradients = net.backward(r)
    if len(inputs) == 2:
        assert not gradients[1].any()
        gradients = gradients[0]
    # Deviations are 0.25 and more, a virtual batch's perhaps a fifth of that; corrections multiply by up to 3.
    bound = 8 * UNIT * np.abs(own["scale"]).max() * 60 * np.abs(r).max() * spread
    close(gradients, own["grad_input"], bound, "grad_input")
    for local, name in (("weight", "grad_scale"), ("bias", "grad_shift")):
        close(net.gradients()[f"n.{local}"], own[name], 4 * UNIT * x.size / x.shape[-1] * np.abs(r).max() * spread, name)
    for local, name in (("running_mean", "moving_mean"), ("running_var", "moving_variance")):
        if name in own:
            close(net.state()[f"n.{local}"], own[name], 4 * UNIT * (1 + np.abs(own[name]).max()), name)
