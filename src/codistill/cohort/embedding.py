"""What pictures are searched with: the features that one submodule of every peer makes of them."""

from typing import Any

from torch import Tensor

from codistill.cohort import Cohort, View
from codistill.losses.posterior import full_precision


def embed(cohort: Cohort | View, x: Any, submodule: str) -> list[Tensor]:
    """Each peer's features of a batch, flat: ``[B, D_i]``, in float32 at least.

    Args:
        cohort: its peers; what is tapped of it stays as it is.
        x: inputs, as of a cohort's call.
        submodule: as of `Cohort.tap`, the same of every peer.

    Raises:
        ValueError: a peer has no such submodule, or it does not run once.
    """
    owner = cohort.cohort if isinstance(cohort, View) else cohort
    name = f"{submodule} to search with"  # no tap of a method's is called so
    cohort.tap(name, submodule)
    try:
        found = cohort(x).features[name]
    finally:
        del owner.taps[name]
    return [full_precision(features).flatten(1) for features in found]
