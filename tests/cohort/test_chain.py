"""A stack of networks whose layers follow each other, layer by layer, against `torch.vmap` over them."""

from collections import OrderedDict

import pytest
import torch
from torch import nn

from codistill import models
from codistill.batch import PerPeer
from codistill.cohort import Cohort
from codistill.cohort.chain import Chain

PEERS = 3


def everything():
    """A network with one layer of every kind that is known."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, stride=2),
        nn.BatchNorm2d(4, momentum=0.3),
        nn.SiLU(),
        nn.Conv2d(4, 6, (3, 1), padding="same", dilation=2, bias=False),
        nn.Sequential(OrderedDict(act=nn.GELU(), pool=nn.MaxPool2d(2, ceil_mode=True), more=nn.Identity())),
        nn.AvgPool2d(1),
        nn.AdaptiveAvgPool2d((1, 2)),
        nn.Flatten(),
        nn.Linear(12, 5, bias=False),
        nn.Tanh(),
        nn.Linear(5, 7),
        nn.Sigmoid(),
        nn.Linear(7, 10),
    )


KINDS = {
    "mlp": lambda: models.build("mlp", 10, (1, 8, 8)),
    "cnn": lambda: models.build("cnn", 10, (1, 8, 8)),
    "everything": everything,
}


def cohorts(kind, dtype=torch.float32):
    """The same networks as a stack with its chain, and as one without."""
    pair = []
    for _ in range(2):
        torch.manual_seed(0)
        nets = [KINDS[kind]() for _ in range(PEERS)]
        pair.append(Cohort([net.to(dtype) for net in nets], execute="stack"))
    assert isinstance(pair[0].groups[0]._chain, Chain)
    pair[1].groups[0]._chain = None
    return pair


def inputs(own, dtype=torch.float32):
    x = torch.randn(*([PEERS] if own else []), 6, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=dtype)
    return PerPeer(x) if own else x


@pytest.mark.parametrize("mode", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_computes_what_vmap_does(kind, own, mode):
    chain, vmap = cohorts(kind, torch.float64)
    weight = torch.randn(PEERS, 6, 10, dtype=torch.float64)
    for cohort in (chain, vmap):
        cohort.train(mode)
        for _ in range(2):  # the second with other running statistics
            (cohort(inputs(own, torch.float64)).logits * weight).sum().backward()
    torch.testing.assert_close(*(c(inputs(own, torch.float64)).logits for c in (chain, vmap)), rtol=1e-12, atol=1e-12)
    for mine, theirs in zip(chain.leaves(), vmap.leaves(), strict=True):
        torch.testing.assert_close(mine.tensor, theirs.tensor, rtol=1e-12, atol=1e-12)
        if isinstance(mine.tensor, nn.Parameter):
            torch.testing.assert_close(mine.tensor.grad, theirs.tensor.grad, rtol=1e-11, atol=1e-11)


def test_products_round_alike():
    chain, vmap = cohorts("mlp")
    for cohort in (chain, vmap):
        cohort(inputs(False)).logits.square().sum().backward()
    assert torch.equal(chain(inputs(False)).logits, vmap(inputs(False)).logits)
    for mine, theirs in zip(chain.leaves(), vmap.leaves(), strict=True):
        assert torch.equal(mine.tensor.grad, theirs.tensor.grad)


def test_a_part_of_the_peers_moves_its_own_statistics_alone():
    chain, vmap = cohorts("cnn")
    before = [b.clone() for b in chain.buffers()]
    torch.testing.assert_close(chain[[0, 2]](inputs(False)).logits, vmap[[0, 2]](inputs(False)).logits)
    for old, new, theirs in zip(before, chain.buffers(), vmap.buffers(), strict=True):
        torch.testing.assert_close(new, theirs)
        assert torch.equal(new[1], old[1])
        assert not torch.equal(new[0], old[0])


def test_features_are_tapped_as_before():
    chain, vmap = cohorts("cnn")
    for cohort in (chain, vmap):
        cohort.tap("stage2")
    one, other = chain(inputs(False)), vmap(inputs(False))
    assert torch.equal(one.logits, other.logits)
    assert torch.equal(one.features["stage2"], other.features["stage2"])


class Residual(nn.Module):
    def forward(self, x):
        return x + x


def changed(change):
    net = models.build("cnn", 10, (1, 8, 8))
    change(net)
    return net


def hook(net):
    net.stage1.relu.register_forward_hook(lambda *_: None)


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Flatten(), nn.Linear(4, 4), Residual(), nn.Linear(4, 2)),
        nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Dropout(), nn.Linear(4, 2)),
        nn.Sequential(nn.Flatten(0), nn.Linear(4, 2)),
        nn.Sequential(nn.Linear(4, 2)),
        nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(4, 2)),
        nn.Sequential(nn.Conv2d(2, 2, 3, groups=2), nn.Flatten(), nn.Linear(4, 2)),
        nn.Sequential(nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), nn.Flatten(), nn.Linear(4, 2)),
        nn.Sequential(nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2, momentum=None), nn.Flatten(), nn.Linear(4, 2)),
        nn.Sequential(nn.Conv2d(2, 2, 3), nn.Linear(4, 2), nn.Flatten()),
        nn.Sequential(nn.Flatten(), nn.Conv2d(2, 2, 3)),
        nn.Linear(4, 2),
        changed(hook),
        models.build("resnet8", 10, (1, 8, 8)),
    ],
)
def test_what_is_no_chain_of_known_layers_is_left_to_vmap(net):
    assert Chain.of(net) is None


def test_a_subclass_of_a_known_layer_is_not_known():
    class Scaled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    class Own(nn.Sequential):
        def forward(self, x):
            return -super().forward(x)

    assert Chain.of(nn.Sequential(nn.Flatten(), Scaled(4, 2))) is None
    assert Chain.of(Own(nn.Flatten(), nn.Linear(4, 2))) is None
    parametrized = nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))
    assert Chain.of(nn.Sequential(nn.Flatten(), parametrized)) is None


def test_one_tensor_under_two_names_is_left_to_vmap():
    def tied():
        net = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
        net[3].weight = net[1].weight
        return net

    cohort = Cohort([tied(), tied()], execute="stack")
    assert cohort.groups[0]._chain is None
    assert cohort(torch.randn(3, 4)).logits.shape == (2, 3, 4)
