import math

import pytest
import torch
import torch.nn.functional as F

from codistill.models import build, count_parameters
from codistill.models.resnet import ZeroPad

COUNTS = {  # METHODS B: (depth, shortcut) -> 10 classes, 100 classes
    (8, "a"): (75_290, 81_140),
    (8, "b"): (78_042, 83_892),
    (20, "a"): (269_722, 275_572),
    (20, "b"): (272_474, 278_324),
    (32, "a"): (464_154, 470_004),
    (32, "b"): (466_906, 472_756),
    (56, "a"): (853_018, 858_868),
    (56, "b"): (855_770, 861_620),
    (110, "a"): (1_727_962, 1_733_812),
    (110, "b"): (1_730_714, 1_736_564),
}


def arithmetic(depth, shortcut, classes):
    """The number of parameters, layer by layer, of a network for three channels."""
    total = 9 * 3 * 16 + 2 * 16
    for before, width in ((16, 16), (16, 32), (32, 64)):
        for block in range((depth - 2) // 6):
            channels = before if block == 0 else width
            total += 9 * channels * width + 2 * width + 9 * width * width + 2 * width
            if channels != width and shortcut == "b":
                total += channels * width + 2 * width
    return total + 64 * classes + classes


@pytest.mark.parametrize(("depth", "shortcut"), COUNTS)
def test_counts(depth, shortcut):
    for classes, count in zip((10, 100), COUNTS[depth, shortcut], strict=True):
        assert arithmetic(depth, shortcut, classes) == count
        with torch.device("meta"):
            assert count_parameters(build(f"resnet{depth}:shortcut={shortcut}", classes, (3, 32, 32))) == count


def test_b_is_the_default():
    assert repr(build("resnet20", 10, (3, 8, 8))) == repr(build("resnet20:shortcut=b", 10, (3, 8, 8)))


@pytest.mark.parametrize("side", [8, 7, 1])
def test_shortcut_a_is_every_second_position_between_channels_of_zeros(side):
    net = build("resnet20:shortcut=a", 10, (3, 8, 8), seed=0)
    x = torch.randn(2, 16, side, side, generator=torch.Generator().manual_seed(0))
    expected = torch.zeros(2, 32, math.ceil(side / 2), math.ceil(side / 2))
    for row in range(0, side, 2):
        for column in range(0, side, 2):
            expected[:, 8:24, row // 2, column // 2] = x[:, :, row, column]
    shortcut = net.stage2[0].shortcut
    assert isinstance(shortcut, ZeroPad)
    assert count_parameters(shortcut) == 0
    assert torch.equal(shortcut(x), expected)


@pytest.mark.parametrize("kind", ["a", "b"])
def test_a_block_is_its_equation(kind):
    block = build(f"resnet20:shortcut={kind}", 10, (3, 8, 8), seed=0).stage2[0].double()
    x = torch.randn(4, 16, 8, 8, generator=torch.Generator().manual_seed(0)).double()

    def normalised(z):
        mean, variance = z.mean((0, 2, 3), keepdim=True), z.var((0, 2, 3), keepdim=True, unbiased=False)
        return (z - mean) / (variance + 1e-5).sqrt()

    y = normalised(F.conv2d(x, block.conv1.weight, stride=2, padding=1)).relu()
    y = normalised(F.conv2d(y, block.conv2.weight, padding=1))
    if kind == "a":
        around = torch.zeros(4, 8, 4, 4, dtype=x.dtype)
        y = y + torch.cat([around, x[:, :, ::2, ::2], around], dim=1)
    else:
        y = y + normalised(F.conv2d(x[:, :, ::2, ::2], block.shortcut[0].weight))
    torch.testing.assert_close(block(x), y.relu())


def test_taps():
    net, seen = build("resnet32", 10, (3, 32, 32), seed=0), {}
    for name in ("stage1", "stage2", "stage3", "pool", "stage3.4.relu"):
        module = net.get_submodule(name)
        module.register_forward_hook(lambda _, inputs, out, name=name: seen.update({name: (inputs[0], out)}))
    net(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    shapes = {name: tuple(out.shape) for name, (_, out) in seen.items()}
    assert [shapes[f"stage{i}"] for i in (1, 2, 3)] == [(2, 16, 32, 32), (2, 32, 16, 16), (2, 64, 8, 8)]
    assert shapes["pool"] == (2, 64)
    before, after = seen["stage3.4.relu"]
    assert (before < 0).any()
    assert torch.equal(before.relu(), after)
    assert torch.equal(after, seen["stage3"][1])
    torch.testing.assert_close(after.mean((2, 3)), seen["pool"][1])


def test_convolutions_start_kaiming_normal():
    net = build("resnet20", 10, (3, 8, 8), seed=0)
    weight = net.stage3[1].conv1.weight
    n = weight.numel()
    sd = math.sqrt(2 / (9 * 64))
    assert weight.std().item() == pytest.approx(sd, rel=5 / math.sqrt(2 * n))  # five standard errors
    assert weight.mean().item() == pytest.approx(0, abs=5 * sd / math.sqrt(n))
    kurtosis = (weight / weight.std()).pow(4).mean().item()  # 3 for a normal, 1.8 for a uniform distribution
    assert kurtosis == pytest.approx(3, abs=5 * math.sqrt(24 / n))


def test_resnet110_runs():
    assert build("resnet110:shortcut=a", 10, (3, 8, 8), seed=0)(torch.zeros(2, 3, 8, 8)).shape == (2, 10)
