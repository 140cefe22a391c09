import sys
import types

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state

from codistill.cli.inventory import parameters
from codistill.discovery import available
from codistill.models import build, count_parameters
from codistill.spec import UnknownName

SHAPES = {"mlp": (1, 8, 8), "cnn": (1, 8, 8), "mnist_cnn": (1, 16, 16), "resnet20": (3, 8, 8)}
SMALL = ("paper", "released", "wide", "mobile", "branched", "transformer")  # ours, at a size for tests
LARGE = "inception mobilenet preact_resnet18 resnet32 resnet56 resnet110 vit_tiny wrn16_2 wrn28_2 wrn28_10 wrn40_2"
OTHERS = "bigru bilstm hf timm torchvision"
NEW = [name for name in available("codistill.models") if name not in {*SHAPES, *LARGE.split(), *OTHERS.split()}]
IMAGES = [name for name in NEW if parameters(name)[1] == "3 x 32 x 32"]  # found by themselves, and tested here
every_model = pytest.mark.parametrize(
    ("name", "shape"),
    [
        *SHAPES.items(),
        *((f"small_models:{name}", (3, 8, 8)) for name in SMALL),
        *((name, (3, 32, 32)) for name in IMAGES),
    ],
)


@pytest.fixture
def own(monkeypatch):
    """A user's module with a few functions of their own."""

    def linear(classes, shape, bias=True):
        return nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(shape).numel(), classes, bias))

    def anything(*args, **options):
        return linear(*args) if options else None

    module = types.ModuleType("own_nets")
    vars(module).update(linear=linear, anything=anything, narrow=lambda classes: nn.Linear(1, classes))
    monkeypatch.setitem(sys.modules, "own_nets", module)


def images(shape, n=3):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(7))


def test_the_folder_lists_the_architectures():
    assert {*SHAPES, *LARGE.split(), *OTHERS.split()} <= set(available("codistill.models"))


@every_model
def test_gives_logits_and_every_parameter_a_gradient(name, shape):
    net = build(name, 7, shape, seed=0)
    logits = net(images(shape))
    assert logits.shape == (3, 7)
    logits.square().sum().backward()
    # A bias before batch normalisation would have none; there is no such bias.
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


@every_model
def test_every_submodule_runs_once_and_leaves_its_input_alone(name, shape):
    net, counts, seen = build(name, 5, shape, seed=0), {}, []

    def before(key):
        counts[key] = 0

        def hook(_, inputs):
            counts[key] += 1
            seen.append((inputs[0], inputs[0].detach().clone()))

        return hook

    for key, module in net.named_modules():
        module.register_forward_pre_hook(before(key))
    net(images(shape))
    assert set(counts.values()) == {1}
    assert all(torch.equal(given, kept) for given, kept in seen)


@every_model
def test_the_last_features_go_into_fc(name, shape):
    net, fed = build(name, 5, shape, seed=0), []
    net.fc.register_forward_pre_hook(lambda _, inputs: fed.append(inputs[0]))
    logits = net(images(shape))
    assert fed[0].ndim == 2
    assert torch.equal(net.fc(fed[0]), logits)


@every_model
def test_a_seed_repeats_bit_for_bit_and_another_differs(name, shape):
    before = torch.get_rng_state()
    a, again, b = (dict(build(name, 5, shape, seed=s).named_parameters()) for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a[key], again[key]) for key in a)
    assert any(not torch.equal(a[key], b[key]) for key in a)


def test_without_a_seed_the_weights_come_from_torchs_generator():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        a, b = (build("mlp", 5, (4,)).fc.weight for _ in range(2))
        torch.manual_seed(3)
        again = build("mlp", 5, (4,)).fc.weight
    assert torch.equal(a, again)
    assert not torch.equal(a, b)


@every_model
def test_a_stack_gives_what_a_loop_gives(name, shape):
    nets = [build(name, 5, shape, seed=s).double() for s in range(3)]
    x = images((len(nets), *shape), n=4).double().transpose(0, 1)
    weights, buffers = stack_module_state(nets)
    skeleton = build(name, 5, shape).double().to("meta")
    stacked = torch.vmap(lambda w, b, xs: functional_call(skeleton, {**w, **b}, (xs,)))(weights, buffers, x)
    looped = torch.stack([net(xs) for net, xs in zip(nets, x, strict=True)])
    torch.testing.assert_close(stacked, looped)
    stacked_grads = torch.autograd.grad(stacked.square().sum(), list(weights.values()))
    looped.square().sum().backward()
    for key, grad in zip(weights, stacked_grads, strict=True):
        torch.testing.assert_close(grad, torch.stack([net.get_parameter(key).grad for net in nets]))
    for key, moved in buffers.items():
        torch.testing.assert_close(moved, torch.stack([net.get_buffer(key) for net in nets]))


def test_counts_what_is_trainable():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2, bias=False))
    assert count_parameters(net) == (3 * 4 + 4) + (4 + 4) + 4 * 2
    net[0].requires_grad_(False)
    assert count_parameters(net) == 4 + 4 + 4 * 2


@pytest.mark.usefixtures("own")
def test_builds_the_users_own():
    assert count_parameters(build("own_nets:linear", 3, (2, 5))) == 2 * 5 * 3 + 3
    assert count_parameters(build("own_nets:linear,bias=false", 3, (2, 5))) == 2 * 5 * 3
    assert count_parameters(build("own_nets:linear,false", 3, (2, 5))) == 2 * 5 * 3
    assert count_parameters(build("own_nets:anything,some=1", 3, (2, 5))) == 2 * 5 * 3 + 3


class Usual(nn.Module):
    """A constructor as most are written."""

    def __init__(self, in_channels=3, num_classes=10, width=4):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(in_channels, width, 3), nn.Linear(width, num_classes)

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))


class Naive(nn.Module):
    """A constructor that knows its inputs."""

    def __init__(self, num_classes=10):
        super().__init__()
        self.fc = nn.Linear(10, num_classes)


@pytest.mark.usefixtures("own")
def test_your_own_may_take_classes_and_channels_by_their_usual_names():
    vars(sys.modules["own_nets"]).update(Usual=Usual, Naive=Naive)
    net = build("own_nets:Usual,width=6", 3, (2, 8, 8))
    assert (net.conv.in_channels, net.conv.out_channels, net.fc.out_features) == (2, 6, 3)
    assert build("own_nets:Usual,in_channels=5", 3, (2, 8, 8)).conv.in_channels == 5
    assert build("own_nets:Naive", 3, (2, 5)).fc.out_features == 3
    with pytest.raises(ValueError, match="no option of model 'own_nets:Usual' is called 'widht': did you mean 'width'"):
        build("own_nets:Usual,widht=6", 3, (2, 8, 8))


@pytest.mark.usefixtures("own")
def test_refuses_what_is_no_network_and_what_takes_no_shape():
    with pytest.raises(TypeError, match=r"own_nets:anything.*NoneType.*return a torch.nn.Module"):
        build("own_nets:anything", 3, (2, 5))
    with pytest.raises(
        ValueError, match=r"own_nets:narrow.*called as .*\(classes, shape, \*\*options\).*too many positional"
    ):
        build("own_nets:narrow", 3, (2, 5))


class Argumentless(nn.Module):
    """A constructor that takes nothing."""

    def __init__(self):
        super().__init__()


class Optional(nn.Module):
    """A constructor that takes options alone."""

    def __init__(self, *, width=3):
        super().__init__()


class Buggy(nn.Module):
    """A constructor with a bug."""

    def __init__(self, classes, shape):
        super().__init__()
        self.fc = nn.Linear(shape, classes)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (Argumentless, r"'own_nets:net': it is called as net\(classes, shape, \*\*options\), and .*too many"),
        (Optional, r"it is called as net\(classes, shape, \*\*options\), and net cannot be"),
        (nn.Linear(2, 3), r"is a network that is built already: name .* called as net\(classes, shape, \*\*options\)"),
        (3, "is a int: name a function or a class"),
        (Buggy, r"'own_nets:net' cannot be built: TypeError: .*, in test_build.py, line \d+$"),
    ],
)
@pytest.mark.usefixtures("own")
def test_the_error_of_your_own_network_that_cannot_be_built_says_how_it_is_called(made, message):
    vars(sys.modules["own_nets"])["net"] = made
    with pytest.raises(ValueError, match=message):
        build("own_nets:net", 3, (2, 5))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("resnet20:shortcutt=a", "no option of model 'resnet20' is called 'shortcutt': did you mean 'shortcut'"),
        ("mlp:depth=3", "no option of model 'mlp' is called 'depth': there are: hidden, layers"),
        ("mnist_cnn:width=3", "no option of model 'mnist_cnn' is called 'width': there are: none"),
        ("cnn:classes=3", "no option of model 'cnn' is called 'classes': there are: width"),
        ("cnn:8,9", r"model 'cnn:8,9': 9 is one too many \(options: width\)"),
        ("cnn:8,width=9", "model 'cnn:8,width=9': width is given twice"),
        ("resnet20:shortcut=c", "resnet20: shortcut='c': give 'a' or 'b'"),
        ("mlp:hidden=0", "mlp: hidden=0: give a whole number"),
        ("mlp:layers=true", "mlp: layers=True: give a whole number"),
        ("cnn:width=wide", "cnn: width='wide': give a whole number"),
        ("wrn16_2:dropout=1", "wrn16_2: dropout=1: give a number from 0 to below 1"),
        ("wrn28_10:dropout=true", "wrn28_10: dropout=True: give a number from 0 to below 1"),
        ("wrn40_2:dropout=some", "wrn40_2: dropout='some': give a number"),
        ("preact_resnet18:form=wide", "preact_resnet18: form='wide': give 'paper' or 'released'"),
        ("mobilenet:form=large", "mobilenet: form='large': give 'small' or 'small4' or 'reid'"),
        ("mobilenet:dropout=-0.1", "mobilenet: dropout=-0.1: give a number from 0"),
        ("inception:form=small4", "inception: form='small4': give 'reid' or 'small'"),
        ("inception:kernel=7", "inception: kernel=7: give 3 or 5"),
        ("inception:form=small,dropout=2", "inception: dropout=2: give a number from 0"),
        ("vit_tiny:patch=0", "vit_tiny: patch=0: give a whole number"),
        ("vit_tiny:patch=5", r"vit_tiny: patch=5 does not divide images of shape \(1, 16, 16\)"),
        ("vit_tiny:dropout=1", "vit_tiny: dropout=1: give a number from 0"),
        ("vit_tiny:pacth=8", "did you mean 'patch'?"),
    ],
)
def test_an_option_that_is_not_accepted_is_named_with_what_would_be(spec, message):
    with pytest.raises(ValueError, match=message):
        build(spec, 5, (1, 16, 16))


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("mnist_cnn", (1, 8, 8), r"mnist_cnn takes images from 16 x 16, not shape \(1, 8, 8\): .*use cnn"),
        ("cnn", (1, 3, 8), r"cnn takes images from 4 x 4, not shape \(1, 3, 8\): .*use mlp"),
        ("resnet20", (64,), r"resnet20 takes images of shape \(C, H, W\), not \(64,\): .*use mlp"),
        ("wrn28_2", (20,), r"wrn28_2 takes images of shape \(C, H, W\), not \(20,\)"),
        ("preact_resnet18", (32, 32), r"preact_resnet18 takes images of shape \(C, H, W\), not \(32, 32\)"),
        ("mobilenet:form=reid", (3, 32, 32), r"reid takes images from 64 x 64, .*use mobilenet:form=small"),
        ("inception", (3, 32, 32), r"inception:form=reid takes images from 64 x 64, .*use inception:form=small"),
        ("inception:form=small", (3, 4, 4), r"inception:form=small takes images from 8 x 8, .*use mlp"),
        ("vit_tiny", (20,), r"vit_tiny takes images of shape \(C, H, W\), not \(20,\)"),
    ],
)
def test_a_shape_that_does_not_fit_is_named_with_what_to_do(name, shape, message):
    with pytest.raises(ValueError, match=message):
        build(name, 5, shape)


def test_the_error_of_an_unknown_model_names_the_nearest():
    with pytest.raises(UnknownName, match=r"no model is called 'resnet33'.*resnet32"):
        build("resnet33", 5, (1, 8, 8))


@pytest.mark.parametrize("name", ["wrn28_2", "mlp", "cnn"])
def test_token_ids_are_for_networks_that_read(name):
    with pytest.raises(ValueError, match=rf"model '{name}' takes images, .*token ids: use bigru or bilstm"):
        build(name, 2, (20,), known={"vocabulary": 9, "vectors": None})


@pytest.mark.usefixtures("own")
def test_ones_own_network_may_take_token_ids_without_their_vocabulary():
    assert count_parameters(build("own_nets:linear", 2, (20,), known={"vocabulary": 9})) == 20 * 2 + 2
