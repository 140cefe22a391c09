"""Mean squared error of logits."""

from torch import Tensor

from codistill.losses.divergence import Divergence
from codistill.losses.posterior import full_precision


class SquaredLogits(Divergence):
    """Mean over classes of (z_source - z_student)^2, of the logits themselves. Ba and Caruana, NeurIPS 2014.

    Not in nats and not between posteriors: logits that differ by a constant are as far apart as any. A temperature
    cancels out: T^2 (z/T - z'/T)^2 = (z - z')^2.
    """

    def between(self, source: Tensor, student: Tensor) -> Tensor:
        return (source - student).square().mean(-1)

    def __call__(
        self,
        *,
        students: Tensor,
        sources: Tensor | None = None,
        posteriors: Tensor | None = None,
        task: str = "classes",
        temperature: float = 1.0,
    ) -> Tensor:
        """See `Divergence`; it needs logits on both sides."""
        if sources is None:
            raise ValueError("the squared error of logits takes sources= (logits); posteriors= do not give them back")
        return self.between(full_precision(sources), full_precision(students))


squared_logits = SquaredLogits()

__all__ = ["squared_logits"]
