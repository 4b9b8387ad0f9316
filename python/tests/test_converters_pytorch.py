"""State dictionaries and modules of PyTorch. The first need NumPy alone."""

from __future__ import annotations

import numpy as np
import pytest

import martlet
from martlet import BatchNorm, Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU, Sequential
from martlet.converters import from_torch, momentum_from_torch, momentum_to_torch, to_torch_state_dict


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def random_state(net, rng):
    """Every tensor of the model at random, in PyTorch's shapes."""
    state = {}
    for name, value in to_torch_state_dict(net, arrays=True).items():
        if value.dtype == np.int64:
            state[name] = np.array(11)
        else:
            state[name] = rng.uniform(0.5, 1.5, value.shape).astype(np.float32)
    return state


def images():
    convolution = [Conv2D(4, 3, name="c"), BatchNorm(name="n"), ReLU(), MaxPool2D(2), Flatten()]
    return Sequential([*convolution, BatchNorm(name="m"), Dropout(0.1), Dense(5, name="d")], input_shape=(8, 10, 3))


def naive(state, x):
    """What PyTorch computes of channels-first images in float64."""
    x = x.astype(np.float64)
    rows, _, height, width = x.shape
    y = np.zeros((rows, 4, height - 2, width - 2))
    for i in range(3):
        for j in range(3):
            window = x[:, :, i : i + height - 2, j : j + width - 2]
            y += np.einsum("ncij,oc->noij", window, state["c.weight"][:, :, i, j].astype(np.float64))
    y += state["c.bias"][:, None, None]

    def norm(y, name, axes):
        mean, variance, scale, shift = (
            state[f"{name}.{key}"].astype(np.float64)[axes] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (y - mean) / np.sqrt(variance + 1e-5) * scale + shift

    y = np.maximum(norm(y, "n", (slice(None), None, None)), 0)
    y = y.reshape(rows, 4, (height - 2) // 2, 2, (width - 2) // 2, 2).max(axis=(3, 5))
    y = norm(y.reshape(rows, -1), "m", slice(None))
    return y @ state["d.weight"].T.astype(np.float64) + state["d.bias"]


def test_a_flattened_image_is_read_in_pytorchs_order(rng):
    net = images()
    state = random_state(net, rng)
    x = rng.normal(size=(3, 3, 8, 10))
    assert from_torch(state, net) is net
    want = naive(state, x)
    np.testing.assert_allclose(net(np.moveaxis(x, 1, -1)), want, rtol=2e-5, atol=2e-5 * np.abs(want).max())
    # Without the order the answer is another: the test sees it.
    net.load_state_dict(state, strict=False)
    assert np.abs(net(np.moveaxis(x, 1, -1)) - want).max() > 0.1


def test_there_and_back_to_the_bit(rng):
    net = images()
    state = random_state(net, rng)
    back = to_torch_state_dict(from_torch(state, net), arrays=True)
    assert list(back) == list(state)
    for name, value in state.items():
        assert back[name].dtype == value.dtype
        assert back[name].shape == value.shape
        np.testing.assert_array_equal(back[name], value)


def test_channels_first_layers_keep_the_columns(rng):
    net = Sequential([martlet.ChannelsFirst(), Flatten(), Dense(2, name="d")], input_shape=(2, 3, 4))
    state = random_state(net, rng)
    np.testing.assert_array_equal(from_torch(state, net).state_dict()["d.weight"], state["d.weight"])


def test_joined_flattened_images(rng):
    a, b = martlet.Input((2, 2, 3), "a"), martlet.Input((4,), "b")
    joined = martlet.Concatenate()([Flatten()(a), b])
    net = martlet.Model([a, b], Dense(2, name="d")(joined))
    state = random_state(net, rng)
    x, y = rng.normal(size=(5, 3, 2, 2)).astype(np.float32), rng.normal(size=(5, 4)).astype(np.float32)
    want = np.concatenate([x.reshape(5, -1), y], axis=1) @ state["d.weight"].T + state["d.bias"]
    got = from_torch(state, net)([np.moveaxis(x, 1, -1), y])
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    added = martlet.Model(a, Dense(2)(martlet.Add()([Flatten()(a), Flatten()(martlet.ChannelsFirst()(a))])))
    with pytest.raises(martlet.InvalidArgumentError, match=r'"dense_1" .* order in PyTorch is not known'):
        to_torch_state_dict(added, arrays=True)


def test_a_value_whose_order_is_not_known_is_refused():
    net = Sequential([martlet.Reshape((2, 3, 2)), Flatten(), Dense(2)], input_shape=(12,))
    with pytest.raises(martlet.InvalidArgumentError, match="order in PyTorch is not known"):
        to_torch_state_dict(net, arrays=True)
    # One channel: both orders are one.
    plain = Sequential([martlet.Reshape((4, 3, 1)), Flatten(), Dense(2)], input_shape=(12,))
    assert list(to_torch_state_dict(plain, arrays=True)) == ["2.weight", "2.bias"]


def test_momentum_is_the_weight_of_the_other_side():
    pairs = {0.1: 0.9, 0.01: 0.99, 0.05: 0.95, 0.3: 0.7, 0.003: 0.997, 1 / 3: 0.6666666666666667, 0.0: 1.0, 1.0: 0.0}
    for theirs, ours in pairs.items():
        assert momentum_from_torch(theirs) == ours
        assert momentum_to_torch(ours) == theirs
    assert momentum_from_torch(None) is momentum_to_torch(None) is None
    with pytest.raises(martlet.InvalidArgumentError, match=r"0\.\.\.1; got 1.5"):
        momentum_from_torch(1.5)


def norm_state(**more):
    return {"0.running_mean": np.ones(2), "0.running_var": np.full(2, 4.0), **more}


@pytest.mark.parametrize("counter", [np.array(5), np.array([5]), 5, np.float64(5)])
def test_counters_of_every_form(counter):
    net = Sequential([BatchNorm(scale=False, shift=False)], input_shape=(2,))
    from_torch(norm_state(**{"0.num_batches_tracked": counter}), net)
    assert net.state_dict()["0.num_batches_tracked"] == 5


def test_a_counter_that_is_missing_is_0():
    net = Sequential([BatchNorm(None, scale=False, shift=False)], input_shape=(2,))
    net.forward([[1.0, 2.0], [3.0, 5.0]], training=True)
    from_torch(norm_state(), net)
    assert net.state_dict()["0.num_batches_tracked"] == 0
    np.testing.assert_array_equal(net.state_dict()["0.running_var"], [4, 4])


def test_scale_and_shift_that_are_missing_or_too_many():
    affine = {"0.weight": np.ones(2), "0.bias": np.zeros(2)}
    plain = Sequential([BatchNorm(scale=False, shift=False)], input_shape=(2,))
    from_torch(norm_state(**affine), plain)
    with pytest.raises(martlet.InvalidArgumentError, match=r'0\.bias"\] is not all 0, but layer "0" learns none'):
        from_torch(norm_state(**{**affine, "0.bias": np.array([0, 1e-9])}), plain)
    with pytest.raises(martlet.InvalidArgumentError, match=r"no 0\.weight and no 0\.bias: a layer of affine=False"):
        from_torch(norm_state(), Sequential([BatchNorm()], input_shape=(2,)))
    half = Sequential([BatchNorm(shift=False)], input_shape=(2,))
    np.testing.assert_array_equal(to_torch_state_dict(half, arrays=True)["0.bias"], [0, 0])
    assert "0.bias" not in to_torch_state_dict(half, arrays=True, completes_norms=False)
    from_torch(to_torch_state_dict(half, arrays=True), half)


def test_statistics_that_are_missing_are_named():
    net = Sequential([BatchNorm(name="n")], input_shape=(2,))
    with pytest.raises(martlet.InvalidArgumentError, match=r'"n": a layer of track_running_stats=False'):
        from_torch({"n.weight": np.ones(2), "n.bias": np.zeros(2)}, net)
    from_torch({"n.weight": np.full(2, 3.0), "n.bias": np.zeros(2)}, net, strict=False)
    np.testing.assert_array_equal(net.state_dict()["n.weight"], [3, 3])


def test_what_does_not_fit_changes_nothing(rng):
    net = images()
    before = net.state_dict()
    state = random_state(net, rng)
    with pytest.raises(martlet.ShapeError):
        from_torch({**state, "d.weight": np.zeros((5, 7))}, net)
    with pytest.raises(martlet.InvalidArgumentError):
        from_torch({**state, "other.weight": np.zeros(3)}, net)
    with pytest.raises(martlet.InvalidArgumentError, match="holds tensors, not layers"):
        from_torch(state)
    with pytest.raises(martlet.InvalidArgumentError, match=r"must be a torch\.nn\.Module or a state dict; got a list"):
        from_torch([1])
    with pytest.raises(martlet.UnsupportedError, match="InputNormalization"):
        to_torch_state_dict(Sequential([martlet.InputNormalization()], input_shape=(2,)), arrays=True)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


# -- with PyTorch --


@pytest.fixture
def nn():
    torch = pytest.importorskip("torch", reason="the peer: PyTorch is not installed")
    torch.manual_seed(3)
    return torch.nn


def randomised(module):
    import torch

    with torch.no_grad():
        for name, value in [*module.named_buffers(), *module.named_parameters()]:
            if value.ndim:
                value.uniform_(0.5, 1.5) if not name.endswith("running_mean") else value.normal_()
    return module


def networks(nn):
    return {
        "dense": ((5,), [nn.Linear(5, 7), nn.BatchNorm1d(7), nn.Sigmoid(), nn.Identity(), nn.Linear(7, 3), nn.Softmax(dim=1)]),
        "images": (
            (3, 12, 14),
            [
                nn.Sequential(
                    nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6, 1e-3, None), nn.ReLU(True), nn.MaxPool2d(2)
                ),
                nn.Conv2d(6, 4, (3, 1), (2, 1), (1, 0), groups=2),
                nn.Tanh(),
                nn.AvgPool2d(3, 2, padding=1),
                nn.Flatten(),
                nn.BatchNorm1d(32),
                nn.Linear(32, 9),
                nn.BatchNorm1d(9, affine=False),
            ],
        ),
        "average": (
            (2, 7, 7),
            [nn.Conv2d(2, 4, 3, padding="same", dilation=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)],
        ),
        "stays an image": ((2, 7, 7), [nn.ZeroPad2d((1, 2, 3, 0)), nn.Conv2d(2, 4, 3), nn.Softmax(dim=1)]),
        "average with axes": ((2, 5, 7), [nn.Conv2d(2, 4, 3), nn.AdaptiveAvgPool2d((1, 1)), nn.Conv2d(4, 3, 1)]),
        "flattened output": ((2, 5, 7), [nn.Conv2d(2, 4, 3), nn.Flatten()]),
        "sequences": (
            (3, 16),
            [nn.Conv1d(3, 4, 3, 2, 1), nn.BatchNorm1d(4), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(16, 2)],
        ),
    }


NAMES = ["dense", "images", "average", "stays an image", "average with axes", "flattened output", "sequences"]


@pytest.mark.parametrize("name", NAMES)
def test_modules_compute_the_same(nn, name):
    import torch

    shape, modules = networks(nn)[name]
    module = randomised(nn.Sequential(*modules))
    x = torch.randn(6, *shape)
    want = module.eval()(x).detach().numpy()
    tolerance = {"rtol": 1e-5, "atol": 1e-5 * np.abs(want).max()}
    net = from_torch(module, input_shape=shape, layout="channels_first")
    np.testing.assert_allclose(net(x.numpy()), want, **tolerance)
    last = from_torch(module, input_shape=shape[1:] + shape[:1])
    got = last(np.moveaxis(x.numpy(), 1, -1))
    np.testing.assert_allclose(np.moveaxis(got, -1, 1) if want.ndim > 2 else got, want, **tolerance)
    # And back.
    state, original = to_torch_state_dict(last), module.state_dict()
    assert list(state) == list(original)
    assert all(torch.equal(state[key], value) and state[key].dtype == value.dtype for key, value in original.items())
    module.load_state_dict(state)
    # Statistics move alike.
    module.train()(x)
    net.forward(x.numpy(), training=True)
    for key, value in to_torch_state_dict(net).items():
        np.testing.assert_allclose(value, module.state_dict()[key], rtol=1e-5, atol=1e-6)


def test_options_freezing_and_trainability(nn):
    module = nn.Sequential(
        nn.Linear(2, 3), nn.BatchNorm1d(3, eps=1e-3, momentum=0.01), nn.BatchNorm1d(3, momentum=None), nn.Dropout(0.25)
    )
    module.train()
    module[2].eval()
    module[0].weight.requires_grad_(False)
    net = from_torch(module)
    _, first, second, dropout = net.layers
    assert (first.momentum, first.epsilon, first.normalize_with, first.updates_moving) == (0.99, 1e-3, "batch", True)
    assert (second.momentum, second.normalize_with, second.updates_moving) == (None, "moving", False)
    assert dropout.rate == 0.25
    assert [name for name, on in net.trainable().items() if not on] == ["0.weight"]


def test_a_module_of_any_kind_fills_a_model(nn):
    import torch

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm = nn.Linear(2, 3), nn.BatchNorm1d(3, momentum=0.2)

        def forward(self, x):
            return self.norm(self.first(x))

    module = randomised(Net()).eval()
    net = Sequential([Dense(3, name="first"), BatchNorm(0.8, name="norm")], input_shape=(2,))
    x = torch.randn(4, 2)
    np.testing.assert_allclose(from_torch(module, net)(x.numpy()), module(x).detach().numpy(), rtol=1e-5, atol=1e-6)
    from_torch(module.to(torch.bfloat16), net)
    np.testing.assert_array_equal(net.state_dict()["first.weight"], module.first.weight.detach().float().numpy())
    other = Sequential([Dense(3, name="first"), BatchNorm(0.2, name="norm")], input_shape=(2,))
    with pytest.raises(martlet.InvalidArgumentError, match=r'"norm": momentum 0\.2 here, 0\.8 there'):
        from_torch(module, other)
    with pytest.raises(martlet.UnsupportedError, match=r"only a torch\.nn\.Sequential says in which order"):
        from_torch(module)


def test_what_has_no_counterpart_is_named(nn):
    refused = {
        "GELU": nn.GELU(),
        "track_running_stats=False": nn.BatchNorm2d(2, track_running_stats=False),
        "padding_mode='reflect'": nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect"),
        "ceil_mode": nn.MaxPool2d(2, ceil_mode=True),
        "dilation": nn.MaxPool2d(2, dilation=2),
        "divisor_override": nn.AvgPool2d(2, divisor_override=3),
        "whole rows": nn.Flatten(2),
        "output_size=1": nn.AdaptiveAvgPool2d(2),
        "dim=1": nn.Softmax(dim=-1),
        "Dropout2d": nn.Dropout2d(),
    }
    for text, module in refused.items():
        with pytest.raises(martlet.UnsupportedError, match=r'module "1"') as caught:
            from_torch(nn.Sequential(nn.ReLU(), module), input_shape=(6, 6, 2))
        assert text in str(caught.value)
    shared = nn.Linear(3, 3)
    with pytest.raises(martlet.UnsupportedError, match=r'module "2" .*several places'):
        from_torch(nn.Sequential(shared, nn.ReLU(), shared))
    hooked = nn.Linear(3, 3)
    hooked.register_forward_hook(lambda module, inputs, output: output + 1)
    with pytest.raises(martlet.UnsupportedError, match="forward_hooks"):
        from_torch(nn.Sequential(hooked))
    with pytest.raises(martlet.InvalidArgumentError, match="input_shape is needed"):
        from_torch(nn.Sequential(nn.Conv2d(3, 4, 3)))
    with pytest.raises(martlet.ShapeError, match=r"reads 3 channels; input_shape=\(3, 8, 8\) has 8"):
        from_torch(nn.Sequential(nn.Conv2d(3, 4, 3)), input_shape=(3, 8, 8))


def test_the_norms_that_need_no_batch_and_upsampling(nn):
    import torch

    cases = {
        "image": ((4, 6, 5), [nn.Conv2d(4, 6, 3), nn.GroupNorm(3, 6, eps=1e-3), nn.InstanceNorm2d(6, affine=True), nn.ReLU()]),
        "whole image": (
            (4, 6, 5),
            [nn.LayerNorm((4, 6, 5)), nn.Upsample(scale_factor=(2, 3)), nn.UpsamplingNearest2d(scale_factor=2)],
        ),
        "flattened": ((3, 4, 2), [nn.Flatten(), nn.LayerNorm(24), nn.GroupNorm(4, 24, affine=False), nn.Linear(24, 3)]),
        "rows": ((6,), [nn.LayerNorm(6, elementwise_affine=False), nn.RMSNorm(6), nn.Linear(6, 8), nn.RMSNorm(8, eps=1e-3)]),
        "sequences": ((4, 9), [nn.Conv1d(4, 6, 3), nn.InstanceNorm1d(6), nn.GroupNorm(2, 6)]),
    }
    for shape, modules in cases.values():
        module = randomised(nn.Sequential(*modules)).eval()
        x = torch.randn(5, *shape)
        want = module(x).detach().numpy()
        net = from_torch(module, input_shape=shape, layout="channels_first")
        np.testing.assert_allclose(net(x.numpy()), want, rtol=1e-4, atol=1e-5 * np.abs(want).max())
        state, original = to_torch_state_dict(net), module.state_dict()
        assert list(state) == list(original)
        assert all(torch.equal(state[key], value) for key, value in original.items())
    refused = {
        "track_running_stats=True": nn.InstanceNorm2d(2, track_running_stats=True),
        "last 1 of 3 axes": nn.LayerNorm(6),
        "mode='bilinear'": nn.Upsample(scale_factor=2, mode="bilinear"),
        "whole scale_factors": nn.Upsample(scale_factor=1.5),
        "without size": nn.Upsample(size=(7, 7)),
    }
    for text, module in refused.items():
        with pytest.raises(martlet.UnsupportedError, match=r'module "1"') as caught:
            from_torch(nn.Sequential(nn.ReLU(), module), input_shape=(6, 6, 2))
        assert text in str(caught.value)


def filled(nn, module, layer, shape=(8, 8, 4)):
    """A module of one layer, "0", into a model of one layer."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.add_module("0", module)

        def forward(self, x):
            return self._modules["0"](x)

    return from_torch(Net(), Sequential([layer], input_shape=shape))


def test_a_module_must_mean_what_the_model_does(nn):
    same = {
        "conv": (nn.Conv2d(4, 6, 3, 2, 1, groups=2), Conv2D(6, 3, 2, padding=1, groups=2)),
        "same": (nn.Conv2d(4, 6, (3, 5), padding="same"), Conv2D(6, (3, 5), padding=((1, 1), (2, 2)))),
        "same by strides": (nn.MaxPool2d(3, 2, 1), MaxPool2D(3, 2, padding=((1, 1), (1, 1)))),
        "average": (nn.AvgPool2d(2), martlet.AvgPool2D(2)),
        "global": (nn.AdaptiveAvgPool2d(1), martlet.GlobalAvgPool2D()),
        "nothing": (nn.Identity(), Flatten()),
        "plain average": (nn.BatchNorm2d(4, momentum=None), BatchNorm(None)),
        "scale alone": (nn.BatchNorm2d(4), BatchNorm(scale=False, shift=False)),
    }
    for module, layer in same.values():
        filled(nn, module, layer)
    # On 7 rows and columns "same" is one on each side; on 8 it is none and one.
    filled(nn, nn.MaxPool2d(3, 2, 1), MaxPool2D(3, 2, padding="same"), (7, 7, 4))
    other = {
        r"strides \(1, 1\) here, \(2, 2\) there": (nn.Conv2d(4, 6, 3, 2), Conv2D(6, 3)),
        r"padding \(\(0, 0\), \(0, 0\)\) here": (nn.Conv2d(4, 6, 3, padding=1), Conv2D(6, 3)),
        r"padding \(\(0, 1\), \(0, 1\)\) here, \(\(1, 1\), \(1, 1\)\)": (
            nn.MaxPool2d(3, 2, 1),
            MaxPool2D(3, 2, padding="same"),
        ),
        r"dilation \(2, 2\) here, \(1, 1\)": (nn.Conv2d(4, 6, 3), Conv2D(6, 3, dilation=2)),
        "groups 1 here, 4 there": (nn.Conv2d(4, 4, 3, groups=4), Conv2D(4, 3)),
        "epsilon 1e-05 here, 0.001 there": (nn.GroupNorm(2, 4, eps=1e-3), martlet.GroupNorm(2)),
        "groups 4 here, 2 there": (nn.GroupNorm(2, 4), martlet.GroupNorm(4)),
        "a GroupNorm here, a BatchNorm there": (nn.BatchNorm2d(4), martlet.GroupNorm(2)),
        "momentum 0.9 here, None there": (nn.BatchNorm2d(4, momentum=None), BatchNorm()),
        "debiased True here": (nn.BatchNorm2d(4), BatchNorm(debiased=True)),
        "a Tanh here, a ReLU there": (nn.ReLU(), martlet.Tanh()),
        "a ReLU here, a Identity there": (nn.Identity(), ReLU()),
        "rate 0.5 here, 0.25 there": (nn.Dropout(0.25), Dropout(0.5)),
        "count_includes_pad False here, True there": (nn.AvgPool2d(3, 1, 1), martlet.AvgPool2D(3, 1, padding=1)),
        "factor": (nn.Upsample(scale_factor=2), martlet.Upsample2D(3)),
    }
    for text, (module, layer) in other.items():
        with pytest.raises(martlet.InvalidArgumentError, match='"0": .*' + text):
            filled(nn, module, layer)
    without_counterpart = {
        "LeakyReLU": (nn.LeakyReLU(0.2), ReLU()),
        "padding_mode='circular'": (nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"), Conv2D(6, 3, padding=1)),
        "ceil_mode=True": (nn.MaxPool2d(3, ceil_mode=True), MaxPool2D(3)),
        "track_running_stats=False": (nn.BatchNorm2d(4, track_running_stats=False), BatchNorm()),
        "Dropout2d": (nn.Dropout2d(), Dropout(0.5)),
    }
    for text, (module, layer) in without_counterpart.items():
        with pytest.raises(martlet.UnsupportedError, match='module "0"') as caught:
            filled(nn, module, layer)
        assert text in str(caught.value)
        assert "module.state_dict()" in str(caught.value)


def test_modules_under_other_names_need_an_equal_layer_somewhere(nn):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.activation, self.drop = nn.Linear(2, 3), nn.Tanh(), nn.Dropout(0.25)

        def forward(self, x):
            return self.drop(self.activation(self.first(x)))

    from_torch(Net(), Sequential([Dense(3, name="first"), martlet.Tanh(), Dropout(0.25)], input_shape=(2,)))
    for layers, text in (([ReLU(), Dropout(0.25)], '"activation": Tanh'), ([martlet.Tanh(), Dropout(0.5)], '"drop": Dropout')):
        net = Sequential([Dense(3, name="first"), *layers], input_shape=(2,))
        with pytest.raises(martlet.InvalidArgumentError, match=text):
            from_torch(Net(), net)
        from_torch(Net().state_dict(), net)  # tensors alone are compared


def test_subclasses_are_judged_by_what_they_compute(nn):
    import torch

    class Named(nn.Linear):
        """Adds to its base and changes nothing."""

        def __init__(self, inputs, outputs):
            super().__init__(inputs, outputs)
            self.note = "plain"

        def extra_repr(self):
            return "named"

    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    class Standardized(nn.Conv2d):
        def _conv_forward(self, x, weight, bias):
            return super()._conv_forward(x, weight - weight.mean(), bias)

    class Halved(nn.Linear):
        @property
        def weight(self):
            return self._parameters["weight"] / 2

    x = torch.randn(3, 4)
    plain = nn.Sequential(Named(4, 2))
    np.testing.assert_allclose(from_torch(plain)(x.numpy()), plain(x).detach().numpy(), rtol=1e-5, atol=1e-6)
    patched = nn.Linear(4, 2)
    patched.forward = lambda x: x[:, :2]
    parametrized = torch.nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))
    halved = nn.Linear(4, 2)
    halved.__class__ = Halved
    for module in (Doubled(4, 2), halved, patched, parametrized):
        with pytest.raises(martlet.UnsupportedError, match=r'module "0" .*no counterpart'):
            from_torch(nn.Sequential(module), input_shape=(4,))
        with pytest.raises(martlet.UnsupportedError, match='module "0'):
            filled(nn, module, Dense(2), (4,))
    with pytest.raises(martlet.UnsupportedError, match="no counterpart"):
        from_torch(nn.Sequential(Standardized(4, 2, 3)), input_shape=(5, 5, 4))


def test_tensors_without_values_are_refused(nn):
    import torch

    with pytest.raises(martlet.InvalidArgumentError, match=r'state_dict\["0.weight"\]: expected a dense tensor'):
        from_torch({"0.weight": torch.empty(2, 2, device="meta")}, Sequential([Dense(2, bias=False)], input_shape=(2,)))


def test_statistics_that_are_none_are_refused_by_every_converter(nn):
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    for value in (-1.0, float("nan"), float("inf")):
        module[1].running_var[1] = value
        with pytest.raises(martlet.MartletError, match=r"1\.running_var"):
            from_torch(module)
        net = Sequential([Dense(3), BatchNorm()], input_shape=(2,))
        before = net.state_dict()
        with pytest.raises(martlet.MartletError, match=r"1\.running_var"):
            from_torch(module.state_dict(), net)
        for name, own in net.state_dict().items():
            np.testing.assert_array_equal(own, before[name])
        tensors = [np.ones(3), np.zeros(3), np.zeros(3), module[1].running_var.numpy()]
        layer, found = martlet.converters.batch_norm_from_onnx({}, tensors, name="n")
        with pytest.raises(martlet.MartletError, match=r"n\.running_var"):
            Sequential([layer], input_shape=(3,)).load_state_dict({f"n.{key}": array for key, array in found.items()})
