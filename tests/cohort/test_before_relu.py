"""The map before a ReLU, found by the submodule's name."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from codistill import models
from codistill.cohort import Cohort
from codistill.cohort.taps import before_relu
from codistill.spec import UnknownName


@pytest.mark.parametrize(
    ("spec", "stage", "tap"),
    [
        ("cnn", "stage1", "stage1.relu:input"),
        ("mlp", "stage2", "stage2.relu:input"),
        ("resnet20", "stage3", "stage3.2.relu:input"),
        ("resnet20", "stage3.0", "stage3.0.relu:input"),
        ("resnet20", "relu", "relu:input"),
        ("resnet20", "stage3.0.bn1:output", "stage3.0.bn1:output"),
        ("mnist_cnn", "stage2", "stage2.relu:input"),
    ],
)
def test_it_is_the_last_one_inside(spec, stage, tap):
    shape = (1, 28, 28) if spec == "mnist_cnn" else (1, 8, 8)
    net = models.build(spec, 10, shape, seed=0)
    assert before_relu(net, stage) == tap
    cohort = Cohort([net])
    cohort.tap("before", tap)
    cohort.tap("after", stage)
    features = cohort(torch.randn(3, *shape)).features
    if ":" not in stage:
        torch.testing.assert_close(features["before"].relu(), features["after"])
        assert (features["before"] < 0).any()


def test_an_in_place_relu_does_not_write_over_the_map():
    stage = nn.Sequential(nn.Linear(4, 5), nn.ReLU6(inplace=True))
    net = nn.Sequential(OrderedDict(stage=stage, fc=nn.Linear(5, 2)))
    cohort = Cohort([net])
    cohort.tap("before", before_relu(net, "stage"))
    x = torch.randn(6, 4)
    torch.testing.assert_close(cohort(x).features["before"][0], net.stage[0](x))


def test_what_is_not_there_is_said():
    net = models.build("cnn", 10, (1, 8, 8), seed=0)
    with pytest.raises(UnknownName, match="no submodule of Sequential is called 'stge1': did you mean 'stage1'"):
        before_relu(net, "stge1")
    with pytest.raises(ValueError, match="feature 'fc': this Linear has no ReLU module; name what comes before"):
        before_relu(net, "fc")
