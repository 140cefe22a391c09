"""Divergences between posteriors: a value per sample, one divergence to a file; the folder is the list."""

from codistill import discovery
from codistill.losses.divergence import Divergence
from codistill.spec import Spec


def get(which: str | Spec | Divergence) -> Divergence:
    """A divergence from its spec (``"kl"``, ``"renyi:alpha=0.5"``), or itself.

    Raises:
        UnknownName: no such divergence or option, with the nearest that exist.
        ValueError: options of one that has none, or the user's own is no divergence.
    """
    if isinstance(which, Divergence):
        return which
    spec = Spec.of(which)
    found, args = discovery.find(__name__, spec)
    if not isinstance(found, Divergence):
        found = discovery.construct(__name__, spec)
    elif args or spec.options:
        raise ValueError(f"divergence='{which}': this one has no options; write {spec.name!r}")
    if not isinstance(found, Divergence):
        raise ValueError(f"divergence='{which}' is not a divergence between posteriors")
    return found
