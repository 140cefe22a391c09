"""Outputs of many batches, collected in eval mode and without gradients; embeddings, for retrieval."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from codistill.cohort import Peers
from codistill.cohort.passes import uncounted
from codistill.losses.posterior import full_precision
from codistill.models.parts.mode import evaluating


def embed(cohort: Peers, x: Any, submodule: str) -> list[Tensor]:
    """Each peer's features of a batch, flat: ``[B, D_i]``, in float32 at least.

    Args:
        cohort: its peers; what is tapped of it stays as it is.
        x: inputs, as of a cohort's call.
        submodule: as of `Cohort.tap`, the same of every peer.

    Raises:
        ValueError: a peer has no such submodule, or it does not run once.
    """
    outputs = cohort.cohort.outputs(x, cohort.peers, {"embedding": submodule})
    return [full_precision(features).flatten(1) for features in outputs.features["embedding"]]


def collect(cohort: Peers, inputs: Iterable[Any]) -> Tensor:
    """All peers' logits ``[P, N, ...]``, from inputs as a cohort takes them; the cohort is as it was afterwards."""
    with _measuring(cohort):
        return torch.cat([cohort(x).logits for x in inputs], dim=1)


def collect_embeddings(cohort: Peers, inputs: Iterable[Any], submodule: str) -> list[Tensor]:
    """Each peer's embeddings ``[N, D_i]`` at a submodule (see `embed`), as `collect` collects."""
    with _measuring(cohort):
        batches = [embed(cohort, x, submodule) for x in inputs]
    return [torch.cat(peer) for peer in zip(*batches, strict=True)]


@contextmanager
def _measuring(cohort: Peers) -> Iterator[None]:
    with evaluating(cohort.cohort), torch.no_grad(), uncounted():
        yield
