import pytest
import torch

from codistill.models import build, count_parameters
from codistill.models.cnn import cnn


@pytest.mark.parametrize(("channels", "width"), [(1, 8), (3, 4)])
def test_count(channels, width):
    convolutions = 9 * (channels * width + width * 2 * width + 2 * width * 2 * width)
    norms = 2 * (width + 2 * width + 2 * width)
    assert count_parameters(cnn(10, (channels, 8, 8), width)) == convolutions + norms + 2 * width * 10 + 10


@pytest.mark.parametrize("shape", [(1, 4, 4), (2, 5, 7), (3, 32, 32)])
def test_takes_images_of_any_size_from_four(shape):
    assert cnn(6, shape)(torch.zeros(1, *shape)).shape == (1, 6)


def test_only_the_first_convolution_sees_the_full_resolution():
    net, sides = build("cnn", 10, (1, 8, 8), seed=0), []
    for stage in (net.stage1, net.stage2, net.stage3):
        stage.conv.register_forward_hook(lambda _, inputs, output: sides.append(tuple(output.shape[1:])))
    net(torch.zeros(2, 1, 8, 8))
    assert sides == [(8, 8, 8), (16, 4, 4), (16, 4, 4)]
