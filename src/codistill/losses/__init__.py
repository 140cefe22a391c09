"""Divergences and task losses, one to a file. Each gives a value per sample; `average` is how values are averaged."""

from codistill import names
from codistill.losses.divergence import Divergence
from codistill.names import Spec


def divergence(which: str | Divergence) -> Divergence:
    """A divergence from its name (``"kl"``), or itself."""
    if isinstance(which, Divergence):
        return which
    found, _ = names.find(__name__, Spec.parse(which))
    if not isinstance(found, Divergence):
        raise ValueError(f"divergence={which!r} is not a divergence between posteriors")
    return found
