"""Mean squared error of logits."""

from torch import Tensor

from codistill.losses.divergence import Divergence


class SquaredLogits(Divergence):
    """Mean over classes of (z_source - z_student)^2, of the logits themselves. Ba and Caruana, NeurIPS 2014.

    Not in nats and not between posteriors: logits that differ by a constant are as far apart as any. A temperature
    cancels out: T^2 (z/T - z'/T)^2 = (z - z')^2.
    """

    on_logits = True
    one_hot = False

    def between(self, source: Tensor, student: Tensor) -> Tensor:
        return (source - student).square().mean(-1)


squared_logits = SquaredLogits()

__all__ = ["squared_logits"]
