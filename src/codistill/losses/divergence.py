"""What a divergence between posteriors is."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from codistill.losses.posterior import log_posterior


class Divergence(ABC):
    """D(source, student): how far a student's posterior is from what it imitates, per sample, in nats.

    Zero where the two are equal. ``linear`` says that D is linear in the source up to a term that does not depend on
    the student, so that many sources may be replaced by their weighted mean (mean of KLs = KL from the
    mean + constant); then `constant` is what has to be added back for the true value.
    """

    linear: ClassVar[bool] = False

    @abstractmethod
    def between(self, source: Tensor, student: Tensor) -> Tensor:
        """From log-probabilities ``[..., C]`` of both to ``[...]``."""

    def __call__(
        self,
        *,
        students: Tensor,
        sources: Tensor | None = None,
        posteriors: Tensor | None = None,
        task: str = "classes",
        temperature: float = 1.0,
    ) -> Tensor:
        """T^2 D(source, student) per sample.

        Args:
            students: logits ``[P, B, ..., C]``.
            sources: logits of what is imitated, same shape. Or
            posteriors: its probabilities, already at this temperature (``[..., C, 2]`` for Bernoulli tasks).
            task: see `log_posterior`.
            temperature: softens both sides; the square keeps the gradient's size.

        Returns: ``[P, B]``, or ``[P, B, L]`` for tokens.
        """
        if (sources is None) == (posteriors is None):
            raise ValueError("a divergence takes either sources= (logits) or posteriors= (probabilities)")
        student = log_posterior(students, task, temperature)
        source = posteriors.log() if posteriors is not None else log_posterior(sources, task, temperature)  # type: ignore[arg-type]
        return scale(self.between(source, student), task, temperature)


def scale(values: Tensor, task: str, temperature: float) -> Tensor:
    """Times T^2; Bernoulli tasks sum over their C variables."""
    values = values.sum(-1) if task in ("binary", "multilabel") else values
    return values if temperature == 1.0 else values * temperature**2
