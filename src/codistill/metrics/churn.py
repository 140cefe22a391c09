"""What changes for the users of a network when another one takes its place."""

from typing import NamedTuple

from torch import Tensor

from codistill.metrics.accuracy import correct
from codistill.metrics.labels import check


class Churn(NamedTuple):
    """What `churn` gives, each a share of the examples, ``[...]``.

    Attributes:
        changed: whose class is another one.
        lost: right before and wrong now.
        gained: wrong before and right now; the accuracy moves by gained - lost.
    """

    changed: Tensor
    lost: Tensor
    gained: Tensor


def churn(before: Tensor, after: Tensor, labels: Tensor) -> Churn:
    """How many predictions change from one network, or run, to another.

    Args:
        before: logits ``[..., N, C]``.
        after: logits of the other, for the same examples in the same order. NaN is no class, so always a change.
        labels: class numbers ``[N]``.

    Raises:
        ValueError: shapes or labels that do not fit.
    """
    check(before, labels)
    if before.shape != after.shape:
        raise ValueError(
            f"before {list(before.shape)} and after {list(after.shape)} differ: give both networks the same examples"
        )
    nowhere = before.isnan().any(-1) | after.isnan().any(-1)
    changed = (before.argmax(-1) != after.argmax(-1)) | nowhere
    was, now = correct(before, labels), correct(after, labels)
    return Churn(*(part.to(before.dtype).mean(-1) for part in (changed, was & ~now, now & ~was)))
