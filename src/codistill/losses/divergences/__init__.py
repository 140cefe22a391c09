"""Divergences between posteriors: a value per sample, one divergence to a file; the folder is the list."""

from codistill import discovery
from codistill.losses.divergence import Divergence
from codistill.spec import Spec


def get(which: str | Divergence) -> Divergence:
    """A divergence from its spec (``"kl"``, ``"renyi:alpha=0.5"``), or itself."""
    if isinstance(which, Divergence):
        return which
    spec = Spec.parse(which)
    found, args = discovery.find(__name__, spec)
    if isinstance(found, Divergence) and (args or spec.options):
        raise ValueError(f"divergence={which!r}: this one has no options; write {spec.name!r}")
    if not isinstance(found, Divergence) and isinstance(found, type) and issubclass(found, Divergence):
        try:
            found = found(*args, **spec.options)
        except TypeError as error:
            raise ValueError(f"divergence={which!r}: {error}") from None
    if not isinstance(found, Divergence):
        raise ValueError(f"divergence={which!r} is not a divergence between posteriors")
    return found
