import pytest
import torch
import torch.nn.functional as F
from torch import nn

from codistill.models import build, count_parameters
from codistill.models.inception import Block
from small_models import BRANCHES

BLOCKS = (  # Szegedy et al. 2014, Table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool
    (64, 96, 128, 16, 32, 32),
    (128, 128, 192, 32, 96, 64),
    (192, 96, 208, 16, 48, 64),
    (160, 112, 224, 24, 64, 64),
    (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64),
    (256, 160, 320, 32, 128, 128),
    (256, 160, 320, 32, 128, 128),
    (384, 192, 384, 48, 128, 128),
)


def arithmetic(classes, form, kernel):
    """The number of parameters, convolution by convolution, each with BN."""

    def conv(a, b, side):
        return side * side * a * b + 2 * b

    total = conv(3, 192, 3) if form == "small" else conv(3, 64, 7) + conv(64, 64, 1) + conv(64, 192, 3)
    channels = 192
    for one, before3, three, before5, five, pooled in BLOCKS:
        total += conv(channels, one, 1) + conv(channels, before3, 1) + conv(before3, three, 3)
        total += conv(channels, before5, 1) + conv(before5, five, kernel) + conv(channels, pooled, 1)
        channels = one + three + five + pooled
    return total + channels * classes + classes


@pytest.mark.parametrize(
    ("form", "kernel", "classes", "count"),
    [
        ("reid", 3, 100, 5_702_404),
        ("reid", 3, 751, 6_369_679),
        ("reid", 5, 100, 6_083_332),
        ("small", 5, 100, 5_964_164),
        ("reid", 3, 10, 5_610_154),
        ("small", 3, 10, 5_490_986),
        ("small", 3, 100, 5_583_236),
    ],
)
def test_counts(form, kernel, classes, count):
    assert arithmetic(classes, form, kernel) == count
    with torch.device("meta"):
        net = build(f"inception:form={form},kernel={kernel}", classes, (3, 224, 224))
    assert count_parameters(net) == count


def test_the_slim_layout_is_the_default():
    with torch.device("meta"):
        assert count_parameters(build("inception", 100, (3, 224, 224))) == 5_702_404


@pytest.mark.parametrize("kernel", [3, 5])
def test_a_block_is_its_equation(kernel):
    torch.manual_seed(0)
    block = Block(4, BRANCHES, kernel).double()
    x = torch.randn(3, 4, 6, 6, dtype=torch.float64)

    def conv(z, module):
        z = F.conv2d(z, module.conv.weight, padding=module.conv.weight.shape[-1] // 2)
        mean, variance = z.mean((0, 2, 3), keepdim=True), z.var((0, 2, 3), keepdim=True, unbiased=False)
        return ((z - mean) / (variance + 1e-5).sqrt()).relu()

    assert block.five[1].conv.weight.shape[-1] == kernel
    around = F.pad(x, (1, 1, 1, 1), value=-float("inf"))
    pooled = torch.stack([around[:, :, i : i + 6, j : j + 6] for i in range(3) for j in range(3)]).amax(0)
    expected = [
        conv(x, block.one),
        conv(conv(x, block.three[0]), block.three[1]),
        conv(conv(x, block.five[0]), block.five[1]),
        conv(pooled, block.pooled[1]),
    ]
    torch.testing.assert_close(block(x), torch.cat(expected, 1))


@pytest.mark.parametrize(
    ("spec", "side", "maps"), [("inception", 224, [28, 28, 14, 7]), ("inception:form=small", 32, [32, 32, 16, 8])]
)
def test_maps_at_each_stage(spec, side, maps):
    sizes = []
    with torch.device("meta"):
        net = build(spec, 10, (3, side, side))
        for name in ("stem", "stage1", "stage2", "stage3"):
            net.get_submodule(name).register_forward_hook(lambda _, __, out: sizes.append(tuple(out.shape[1:])))
        assert net(torch.zeros(2, 3, side, side)).shape == (2, 10)
    assert sizes == [(width, side, side) for width, side in zip((192, 480, 832, 1024), maps, strict=True)]


def test_the_smallest_images_work_and_every_parameter_has_a_gradient():
    net = build("inception:form=small", 7, (3, 8, 8), seed=0)
    net(torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in net.parameters())


def test_dropout_is_before_fc_and_as_the_form_has_it():
    with torch.device("meta"):
        nets = [build(f"inception:{o}", 10, (3, 64, 64)) for o in ("form=reid", "form=small", "dropout=0.5")]
    assert [[m.p for m in net.modules() if isinstance(m, nn.Dropout)] for net in nets] == [[0.2], [], [0.5]]
    assert [name for name, _ in nets[0].named_children()][-3:] == ["pool", "dropout", "fc"]


def test_maps_are_halved_by_pools_of_three_and_once_of_two():
    with torch.device("meta"):
        net = build("inception", 10, (3, 224, 224))
    assert [m.kernel_size for m in net.modules() if isinstance(m, nn.MaxPool2d) and m.stride == 2] == [3, 3, 3, 2]
