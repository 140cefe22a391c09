"""Outputs of many batches, collected in eval mode and without gradients."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from codistill.cohort import Cohort, View
from codistill.cohort.embedding import embed
from codistill.cohort.passes import uncounted
from codistill.models.parts.mode import evaluating


def collect(cohort: Cohort | View, inputs: Iterable[Any]) -> Tensor:
    """All peers' logits ``[P, N, ...]``, from inputs as a cohort takes them; the cohort is as it was afterwards."""
    with _measuring(cohort):
        return torch.cat([cohort(x).logits for x in inputs], dim=1)


def collect_embeddings(cohort: Cohort | View, inputs: Iterable[Any], submodule: str) -> list[Tensor]:
    """Each peer's embeddings ``[N, D_i]`` at a submodule (see `embed`), as `collect` collects."""
    with _measuring(cohort):
        batches = [embed(cohort, x, submodule) for x in inputs]
    return [torch.cat(peer) for peer in zip(*batches, strict=True)]


@contextmanager
def _measuring(cohort: Cohort | View) -> Iterator[None]:
    with evaluating(cohort.cohort), torch.no_grad(), uncounted():
        yield


__all__ = ["collect", "collect_embeddings"]
