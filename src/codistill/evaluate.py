"""Outputs are collected once; every number is a pure function of them."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from codistill.batch import PerPeer
from codistill.cohort import Cohort, View
from codistill.metrics.accuracy import accuracy
from codistill.metrics.calibration import brier, ece, nll
from codistill.metrics.posterior import entropy, mean_posterior

Row = dict[str, Any]


@torch.no_grad()
def collect(cohort: Cohort | View, inputs: Iterable[Tensor | PerPeer]) -> Tensor:
    """All peers' logits ``[P, N, C]`` in eval mode; the cohort is as it was afterwards."""
    owner = cohort.cohort if isinstance(cohort, View) else cohort
    training, passes = owner.training, owner.passes.forward
    owner.eval()
    try:
        return torch.cat([cohort(x).logits for x in inputs], dim=1)
    finally:
        owner.train(training)
        owner.passes.forward = passes  # those of training are counted


def measure(logits: Tensor, labels: Tensor) -> list[dict[str, float]]:
    """Every measure of each peer: logits ``[P, N, C]``, labels ``[N]`` -> P rows. Entropies and NLL in nats."""
    columns = {
        "accuracy": accuracy(logits, labels),
        "nll": nll(logits, labels),
        "ece": ece(logits, labels),
        "brier": brier(logits, labels),
        "entropy": entropy(logits),
    }
    values = {name: column.tolist() for name, column in columns.items()}
    return [{name: column[i] for name, column in values.items()} for i in range(len(logits))]


def rows(logits: Tensor, labels: Tensor, about: Row) -> list[Row]:
    """One row per network, and one per ensemble of the first k networks, k = 2..P (mean posterior).

    Args:
        logits: ``[P, N, C]``.
        labels: ``[N]``.
        about: what every row says besides: method, seed, part.
    """
    about = {**about, "n": len(labels)}
    single = [{**about, "peer": i, "networks": 1, **values} for i, values in enumerate(measure(logits, labels))]
    ensembles = [
        {**about, "peer": None, "networks": k, **measure(mean_posterior(logits[:k]).unsqueeze(0), labels)[0]}
        for k in range(2, len(logits) + 1)
    ]
    return single + ensembles
