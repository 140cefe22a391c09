"""Shards of unequal size and unequal classes."""

import torch
from torch import Tensor
from torch.distributions import Dirichlet

from codistill.checks import number, whole
from codistill.data.shards import Deal, Labels, check_classes, joined
from codistill.randomness import generator, seeded

TRIES = 1000


def dirichlet(alpha: float, least: int = 1) -> Deal:
    """Of each class, peers have shares that are drawn from a Dirichlet distribution.

    A small alpha gives most of a class to one peer, a large one the same share to all. Yurochkin et al., ICML 2019,
    arXiv:1905.12022; as in NIID-Bench (arXiv:2102.02079) the draw is repeated until every peer has enough.

    Args:
        alpha: The concentration, the same for all peers; above 0.
        least: Labels that every peer has at least.

    Raises:
        ValueError: an option out of range; on dealing, there is no such draw within a thousand.
    """
    number("shards: alpha", alpha, above=True)
    whole("shards: least", least)
    what = f"shards='dirichlet:alpha={alpha}'"

    def dealt(labels: Labels, peers: int, seed: int) -> list[Tensor]:
        check_classes(what, labels)
        mixed = torch.randperm(len(labels.y), generator=generator(seed, "shards"))
        examples = [mixed[labels.y[mixed] == number] for number in range(len(labels.classes))]
        with seeded(torch.device("cpu"), seed, "shards", "dirichlet"):
            for _ in range(TRIES if least * peers <= len(labels.y) else 0):
                shares = Dirichlet(torch.full((len(examples), peers), float(alpha), dtype=torch.float64)).sample()
                pieces = [_cut(own, share) for own, share in zip(examples, shares, strict=True)]
                each = [joined([piece[peer] for piece in pieces]) for peer in range(peers)]
                if min(map(len, each)) >= least:
                    return each
        raise ValueError(
            f"{what}: no draw of {TRIES} gives each of {peers} peers {least} of {len(labels.y)} labels: raise alpha or "
            "labels, or lower least"
        )

    return dealt


def _cut(examples: Tensor, shares: Tensor) -> list[Tensor]:
    """The examples of a class in parts that have these shares, which sum to 1, up to rounding."""
    ends = (shares.cumsum(0) * len(examples)).round().long()[:-1]
    return list(examples.tensor_split(ends))


__all__ = ["dirichlet"]
