"""Networks that learn together as public repositories write it: an optimizer each, one term after the other.

And the data and networks that every side is given, and the check that all of them compute the same gradients.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codistill import Cohort, models
from codistill.data.examples import DataSet, Examples


def dataset(shape: tuple[int, ...], classes: int = 10, count: int = 4096) -> DataSet:
    """Random images; what they show does not change how long a step takes."""
    source = torch.Generator().manual_seed(0)
    parts = [
        Examples(
            torch.randint(0, 256, (n, *shape), generator=source, dtype=torch.uint8),
            torch.randint(0, classes, (n,), generator=source),
        )
        for n in (count, 64)
    ]
    statistics = (0.5,) * shape[0]
    return DataSet(*parts, classes, "classes", statistics, statistics, tuple(map(str, range(classes))))


def networks(specs: Sequence[str], shape: tuple[int, ...], classes: int = 10) -> list[nn.Module]:
    """One of each spec, with initial weights of its own."""
    return [models.build(spec, classes, shape, seed=number) for number, spec in enumerate(specs)]


class Textbook:
    """K networks, K optimizers, a KL term for every pair, `.item()` of every term."""

    def __init__(self, nets: Sequence[nn.Module], x: Tensor, y: Tensor, *, mutual: bool = True) -> None:
        self.nets = [copy.deepcopy(net).train() for net in nets]
        self.x, self.y, self.mutual = x, y, mutual
        self.optimizers = [
            torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
            for net in self.nets
        ]

    def losses(self) -> list[Tensor]:
        """CE + mean over the others of KL(p_j || p_i), of each network."""
        outputs = [net(self.x) for net in self.nets]
        found = []
        for i, own in enumerate(outputs):
            loss = F.cross_entropy(own, self.y)
            if self.mutual:
                kl = torch.zeros(())
                for j, other in enumerate(outputs):
                    if i != j:
                        log_p, q = F.log_softmax(own, dim=1), F.softmax(other.detach(), dim=1)
                        kl = kl + F.kl_div(log_p, q, reduction="batchmean")
                loss = loss + kl / (len(outputs) - 1)
            found.append(loss)
        return found

    def step(self) -> list[float]:
        """One step of all networks."""
        losses = self.losses()
        for loss, optimizer in zip(losses, self.optimizers, strict=True):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return [loss.item() for loss in losses]


def same_gradients(theirs: Textbook, cohort: Cohort, loss: Tensor) -> None:
    """Raises an AssertionError where the gradients of ours are others than the textbook's, from the same weights."""
    for net in theirs.nets:
        net.zero_grad()
    torch.stack(theirs.losses()).sum().backward()
    loss.backward()
    for leaf in cohort.leaves():
        for row, peer in enumerate(leaf.peers):
            expected = dict(theirs.nets[peer].named_parameters())
            if leaf.name in expected:
                grad = leaf.tensor.grad[row] if leaf.stacked else leaf.tensor.grad
                said = f"peer {peer}, {leaf.name}: {{}}".format
                torch.testing.assert_close(grad, expected[leaf.name].grad, rtol=1e-5, atol=1e-8, msg=said)
    cohort.zero_grad()
