import pytest
import torch
import torch.nn.functional as F

from codistill.models import build, count_parameters
from codistill.models.mnist_cnn import mnist_cnn


def test_count():
    assert count_parameters(mnist_cnn(10, (1, 28, 28))) == 8490


def test_is_its_equation():
    net = build("mnist_cnn", 10, (1, 28, 28), seed=0)
    x = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    h = F.max_pool2d(F.conv2d(x, net.stage1.conv.weight, net.stage1.conv.bias), 2).relu()
    h = F.max_pool2d(F.conv2d(h, net.stage2.conv.weight, net.stage2.conv.bias), 2).relu()
    torch.testing.assert_close(net(x), F.linear(h.reshape(2, 320), net.fc.weight, net.fc.bias))


@pytest.mark.parametrize("shape", [(1, 16, 16), (2, 17, 30), (3, 32, 32)])
def test_fc_is_as_wide_as_the_images_ask_for(shape):
    assert mnist_cnn(4, shape)(torch.zeros(1, *shape)).shape == (1, 4)


def test_the_smallest_images_are_the_smallest_that_work():
    with pytest.raises(ValueError, match="from 16 x 16"):
        mnist_cnn(4, (1, 28, 15))
