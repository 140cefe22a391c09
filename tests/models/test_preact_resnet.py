import pytest
import torch
import torch.nn.functional as F

from codistill.models import build, count_parameters

SHAPE = (3, 32, 32)


def arithmetic(classes, form):
    """The number of parameters, layer by layer."""
    total, before = 9 * 3 * 64, 64
    for width in (64, 128, 256, 512):
        for channels in (before, width):
            total += 2 * channels + 9 * channels * width + 2 * width + 9 * width * width
        total += before * width if before != width else 0
        before = width
    return total + 2 * (512 if form == "paper" else 64) + 512 * classes + classes


@pytest.mark.parametrize(
    ("form", "classes", "count"),
    [
        ("paper", 10, 11_172_170),
        ("paper", 100, 11_218_340),
        ("released", 10, 11_171_274),
        ("released", 100, 11_217_444),
    ],
)
def test_counts(form, classes, count):
    assert arithmetic(classes, form) == count
    with torch.device("meta"):
        assert count_parameters(build(f"preact_resnet18:form={form}", classes, SHAPE)) == count


def normalised(z):
    mean, variance = z.mean((0, 2, 3), keepdim=True), z.var((0, 2, 3), keepdim=True, unbiased=False)
    return (z - mean) / (variance + 1e-5).sqrt()


@pytest.mark.parametrize("form", ["paper", "released"])
def test_is_its_equation(form):
    net = build(f"small_models:{form}", 5, (3, 8, 8), seed=0).double()
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    h = F.conv2d(x, net.conv.weight, padding=1)
    if form == "released":
        h = normalised(h).relu()
    for number in (1, 2, 3):
        for place, block in enumerate(net.get_submodule(f"stage{number}")):
            stride = 2 if number > 1 and place == 0 else 1
            a = normalised(h).relu()
            y = F.conv2d(a, block.conv1.weight, stride=stride, padding=1)
            y = F.conv2d(normalised(y).relu(), block.conv2.weight, padding=1)
            if stride == 2:
                shortcut = F.conv2d(a, block.shortcut.weight, stride=2)
            else:
                shortcut = a if form == "released" or (number, place) == (1, 0) else h
            h = y + shortcut
    if form == "paper":
        h = normalised(h).relu()
    torch.testing.assert_close(net(x), F.linear(h.mean((2, 3)), net.fc.weight, net.fc.bias))


@pytest.mark.parametrize("side", [32, 224])
@pytest.mark.parametrize("form", ["paper", "released"])
def test_maps_at_each_stage(side, form):
    sizes = []
    with torch.device("meta"):
        net = build(f"preact_resnet18:form={form}", 10, (3, side, side))
        for number in (1, 2, 3, 4):
            stage = net.get_submodule(f"stage{number}")
            stage.register_forward_hook(lambda _, __, out: sizes.append(tuple(out.shape[1:])))
        assert net(torch.zeros(2, 3, side, side)).shape == (2, 10)
    assert sizes == [(64 * 2**i, side // 2**i, side // 2**i) for i in range(4)]


def test_paper_is_the_default():
    with torch.device("meta"):
        assert repr(build("preact_resnet18", 10, SHAPE)) == repr(build("preact_resnet18:form=paper", 10, SHAPE))
