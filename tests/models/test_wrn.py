import pytest
import torch
import torch.nn.functional as F
from torch import nn

from codistill.models import build, count_parameters
from codistill.models.parts.preactivation import Preactivation

COUNTS = {  # METHODS B: (depth, widening) -> 10 classes, 100 classes
    (28, 10): (36_479_194, 36_536_884),
    (28, 2): (1_467_610, 1_479_220),
    (16, 2): (691_674, 703_284),
    (40, 2): (2_243_546, 2_255_156),
}


def normalised(z):
    mean, variance = z.mean((0, 2, 3), keepdim=True), z.var((0, 2, 3), keepdim=True, unbiased=False)
    return (z - mean) / (variance + 1e-5).sqrt()


def arithmetic(depth, wide, classes):
    """The number of parameters, layer by layer, of a network for three channels."""
    total, before = 9 * 3 * 16, 16
    for width in (16 * wide, 32 * wide, 64 * wide):
        for block in range((depth - 4) // 6):
            channels = before if block == 0 else width
            total += 2 * channels + 9 * channels * width + 2 * width + 9 * width * width
            total += channels * width if channels != width else 0
        before = width
    return total + 2 * before + before * classes + classes


@pytest.mark.parametrize(("depth", "wide"), COUNTS)
def test_counts(depth, wide):
    for classes, count in zip((10, 100), COUNTS[depth, wide], strict=True):
        assert arithmetic(depth, wide, classes) == count
        with torch.device("meta"):
            assert count_parameters(build(f"wrn{depth}_{wide}", classes, (3, 32, 32))) == count


@pytest.mark.parametrize(("channels", "stride"), [(4, 1), (4, 2), (6, 1), (6, 2)])
def test_a_block_is_its_equation(channels, stride):
    torch.manual_seed(0)
    block = Preactivation(channels, 6, stride).double()
    x = torch.randn(4, channels, 7, 7, dtype=torch.float64)
    a = normalised(x).relu()
    y = F.conv2d(a, block.conv1.weight, stride=stride, padding=1)
    y = F.conv2d(normalised(y).relu(), block.conv2.weight, padding=1)
    if (channels, stride) == (6, 1):
        expected = y + x
    else:
        expected = y + F.conv2d(a[:, :, ::stride, ::stride], block.shortcut.weight)
    torch.testing.assert_close(block(x), expected)


def test_the_end_is_its_equation():
    net = build("small_models:wide", 5, (3, 8, 8), seed=0).double()
    x = torch.randn(3, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    h = net.stage3(net.stage2(net.stage1(F.conv2d(x, net.conv.weight, padding=1))))
    expected = F.linear(normalised(h).relu().mean((2, 3)), net.fc.weight, net.fc.bias)
    torch.testing.assert_close(net(x), expected)


@pytest.mark.parametrize("side", [32, 224])
def test_maps_at_each_stage(side):
    sizes = {}
    with torch.device("meta"):
        net = build("wrn28_10", 10, (3, side, side))
        for name in ("conv", "stage1", "stage2", "stage3", "fc"):
            module = net.get_submodule(name)
            module.register_forward_hook(lambda _, __, out, name=name: sizes.update({name: tuple(out.shape[1:])}))
        net(torch.zeros(2, 3, side, side))
    assert sizes == {
        "conv": (16, side, side),
        "stage1": (160, side, side),
        "stage2": (320, side // 2, side // 2),
        "stage3": (640, side // 4, side // 4),
        "fc": (10,),
    }


def test_dropout_is_between_the_convolutions_of_every_block():
    with torch.device("meta"):
        net, without = (build(f"wrn16_2{option}", 10, (3, 8, 8)) for option in (":dropout=0.3", ""))
    assert [m.p for m in net.modules() if isinstance(m, nn.Dropout)] == [0.3] * 6
    assert not [m for m in without.modules() if isinstance(m, nn.Dropout)]
    torch.manual_seed(0)
    block = Preactivation(6, 6, 1, dropout=0.5)
    block.drop.register_forward_hook(lambda _, inputs, out: torch.zeros_like(out))
    x = torch.randn(2, 6, 4, 4)
    assert torch.equal(block(x), x)  # nothing of the second convolution is left, the shortcut is


def test_one_that_is_no_wider_than_its_first_convolution_has_no_shortcut_to_learn():
    net = build("small_models:wide", 5, (3, 8, 8))
    assert isinstance(net.stage1[0].shortcut, nn.Identity)
    assert isinstance(net.stage2[0].shortcut, nn.Conv2d)
