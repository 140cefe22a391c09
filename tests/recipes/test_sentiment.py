"""The sentiment study: its mistaken term as its script computes it, and how far it is from the true one."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from codistill import recipes
from codistill.batch import Batch
from codistill.cohort import Cohort
from codistill.methods import get
from codistill.recipes.sentiment import ARTEFACT, BatchSoftmax


def script(outputs, others):
    """``F.kl_div(F.log_softmax(outputs), F.softmax(others), reduction="batchmean")`` of tensors ``[B]``: dim 0."""
    e, f = outputs.exp() / outputs.exp().sum(), others.exp() / others.exp().sum()
    return sum(float(b * (b / a).log()) for a, b in zip(e, f, strict=True)) / len(outputs)


@pytest.mark.parametrize("sigmoid", [True, False])
def test_the_term_is_the_scripts(sigmoid):
    nets = [nn.Linear(4, 1).double() for _ in range(3)]
    x, y = torch.randn(9, 4, dtype=torch.float64), torch.randint(0, 2, (9,))
    terms = BatchSoftmax(sigmoid)(Cohort(nets), Batch(x, y, task="binary"))
    s = [net(x).squeeze(1).detach() for net in nets]
    s = [z.sigmoid() for z in s] if sigmoid else s
    for i in range(3):
        expected = sum(script(s[i], s[j]) for j in range(3) if j != i) / 2
        assert terms["mimic"][i].item() == pytest.approx(expected, rel=1e-8)
        label = F.binary_cross_entropy_with_logits(nets[i](x).squeeze(1), y.double())
        assert terms["task"][i].item() == pytest.approx(label.item())
    terms["mimic"][0].backward()
    assert all(net.weight.grad is None or not net.weight.grad.any() for net in nets[1:])
    assert nets[0].weight.grad.any()


def test_it_is_thousands_of_times_smaller_than_the_true_divergence():
    torch.manual_seed(0)
    logits = torch.randn(2, 500, 1) * 2
    logits[1] = logits[0] + torch.randn(500, 1)

    class Fixed(nn.Module):
        def __init__(self, z):
            super().__init__()
            self.z = nn.Parameter(z)

        def forward(self, x):
            return self.z

    cohort, batch = (
        Cohort([Fixed(z) for z in logits]),
        Batch(torch.zeros(500, 1), torch.zeros(500).long(), task="binary"),
    )
    wrong, true = BatchSoftmax()(cohort, batch)["mimic"], get("dml")(cohort, batch)["mimic"]
    assert (wrong < 1e-4).all()
    assert (true > 1000 * wrong).all()


def test_the_studies_have_its_settings():
    nsmc, imdb, mnist = (recipes.get(f"sentiment_{name}") for name in ("nsmc", "imdb", "mnist"))
    assert (nsmc.base.batch, nsmc.base.optimizer, nsmc.base.learning_rate, nsmc.base.epochs) == (500, "adam", 1e-3, 6)
    assert str(*nsmc.base.models) == "bigru:hidden=256,embedding=160"
    assert (imdb.base.batch, imdb.base.optimizer, imdb.base.learning_rate, imdb.base.epochs) == (64, "adam", 1e-3, 8)
    assert str(*imdb.base.models) == "bilstm:hidden=64,embedding=100"
    assert imdb.base.valid == 0.3
    assert (mnist.base.batch, mnist.base.learning_rate, mnist.base.momentum, mnist.base.epochs) == (64, 0.01, 0.5, 9)
    assert not mnist.base.nesterov
    for study in (nsmc, imdb, mnist):
        assert {"alone", "dml:peers=2", "dml:peers=3"} <= {entry.name for entry in study.entries}
        assert len(study.seeds) == 5
    assert f"{ARTEFACT},peers=2" in map(str, nsmc.rows)
