"""Embeddings, for retrieval: the features that one submodule of every peer gives."""

from typing import Any

from torch import Tensor

from codistill.cohort import PeerSet
from codistill.losses.posterior import full_precision


def embed(cohort: PeerSet, x: Any, submodule: str) -> list[Tensor]:
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
