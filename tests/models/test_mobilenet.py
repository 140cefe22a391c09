from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from codistill.models import build, count_parameters
from codistill.models.mobilenet import _block

WIDTHS = (32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024)  # METHODS B


@pytest.mark.parametrize("form", ["small", "small4", "reid"])
@pytest.mark.parametrize(("classes", "count"), [(10, 3_217_226), (100, 3_309_476), (751, 3_976_751)])
def test_counts_are_the_same_for_every_form(form, classes, count):
    separable = sum(9 * a + 2 * a + a * b + 2 * b for a, b in pairwise(WIDTHS))
    assert 9 * 3 * 32 + 2 * 32 + separable + 1024 * classes + classes == count
    with torch.device("meta"):
        assert count_parameters(build(f"mobilenet:form={form}", classes, (3, 224, 224))) == count


def test_a_width_multiplies_every_layer():
    first, *widths = (round(0.25 * width) for width in (32, *WIDTHS[1:]))
    separable = sum(9 * a + 2 * a + a * b + 2 * b for a, b in pairwise([first, *widths]))
    expected = 9 * 3 * first + 2 * first + separable + widths[-1] * 20 + 20
    assert count_parameters(build("mobilenet:width=0.25", 20, (3, 32, 32))) == expected
    with pytest.raises(ValueError, match="width=0: give a number above"):
        build("mobilenet:width=0", 20, (3, 32, 32))


def normalised(z):
    mean, variance = z.mean((0, 2, 3), keepdim=True), z.var((0, 2, 3), keepdim=True, unbiased=False)
    return (z - mean) / (variance + 1e-5).sqrt()


@pytest.mark.parametrize("stride", [1, 2])
def test_a_block_is_its_equation(stride):
    torch.manual_seed(0)
    block = _block(4, 6, stride).double()
    x = torch.randn(3, 4, 6, 6, dtype=torch.float64)
    maps = [F.conv2d(x[:, [i]], block.depthwise.weight[[i]], stride=stride, padding=1) for i in range(4)]
    y = normalised(torch.cat(maps, 1)).relu()
    y = torch.einsum("bchw,oc->bohw", y, block.pointwise.weight[:, :, 0, 0])
    torch.testing.assert_close(block(x), normalised(y).relu())


def maps(spec, side):
    """The height of the maps after the stem and each stage, and of each block's output channels."""
    sides = []
    with torch.device("meta"):
        net = build(spec, 10, (3, side, side))
        for name in ("stem", *(f"stage{i}" for i in range(1, 6))):
            net.get_submodule(name).register_forward_hook(lambda _, __, out: sides.append(out.shape[-1]))
        widths = [m.out_channels for m in net.modules() if isinstance(m, nn.Conv2d) and m.groups == 1]
        assert net(torch.zeros(2, 3, side, side)).shape == (2, 10)
    assert widths == list(WIDTHS)
    return sides


def test_maps_at_each_stage():
    assert maps("mobilenet", 32) == [32, 32, 16, 8, 4, 2]
    assert maps("mobilenet:form=small4", 32) == [32, 32, 32, 16, 8, 4]
    assert maps("mobilenet:form=reid", 224) == [112, 112, 56, 28, 14, 7]
    assert maps("mobilenet", 224) == [224, 224, 112, 56, 28, 14]


def test_strides_are_at_blocks_2_4_6_and_12():
    with torch.device("meta"):
        net = build("mobilenet:form=reid", 10, (3, 224, 224))
    strides = [m.stride[0] for m in net.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert strides == [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]


def test_dropout_is_before_fc_and_as_the_form_has_it():
    with torch.device("meta"):
        nets = {
            option: build(f"mobilenet{option}", 10, (3, 224, 224))
            for option in ("", ":form=reid", ":dropout=0.5", ":form=reid,dropout=0")
        }
    found = {option: [m.p for m in net.modules() if isinstance(m, nn.Dropout)] for option, net in nets.items()}
    assert found == {"": [], ":form=reid": [0.001], ":dropout=0.5": [0.5], ":form=reid,dropout=0": []}
    assert [name for name, _ in nets[":form=reid"].named_children()][-3:] == ["pool", "dropout", "fc"]


def test_depthwise_convolutions_start_by_what_goes_into_one_output():
    net = build("mobilenet", 10, (3, 8, 8), seed=0)
    weights = torch.cat([m.weight.flatten() for m in net.modules() if isinstance(m, nn.Conv2d) and m.groups > 1])
    assert weights.std().item() == pytest.approx((2 / 9) ** 0.5, rel=0.02)  # 44,640 of them


def test_every_parameter_has_a_gradient():
    net = build("mobilenet", 7, (3, 16, 16), seed=0)
    net(torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in net.parameters())
