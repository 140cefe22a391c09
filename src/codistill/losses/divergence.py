"""What a divergence between posteriors is, and its mean over a batch."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from codistill.batch import Batch
from codistill.losses.average import average
from codistill.losses.posterior import full_precision, log_posterior


class Divergence(ABC):
    """D(source, student): how far a student is from what it imitates, per sample; 0 where they are equal.

    In nats where posteriors are compared; `on_logits`, in squares of logits or whatever `between` returns.

    Attributes:
        linear: D is linear in the source up to a term that does not depend on the student, so that many sources may be
            replaced by their weighted mean: the mean of KLs is the KL from the mean plus a constant.
        on_logits: `between` compares logits and not log-probabilities.
        one_hot: D is finite where the source leaves all classes but one without probability.
    """

    linear: ClassVar[bool] = False
    on_logits: ClassVar[bool] = False
    one_hot: ClassVar[bool] = True

    @abstractmethod
    def between(self, source: Tensor, student: Tensor) -> Tensor:
        """From log-probabilities (or logits, see the class) ``[..., C]`` of both to ``[...]``."""

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
            sources: logits of what is imitated, same shape, or ``[B, ..., C]`` where all imitate one. Or
            posteriors: its probabilities, already at this temperature (``[..., C, 2]`` for Bernoulli tasks).
            task: see `log_posterior`.
            temperature: softens both sides; the square keeps the gradient's size.

        Returns: ``[P, B]``, or ``[P, B, L]`` for tokens.
        """
        if (sources is None) == (posteriors is None):
            raise ValueError("a divergence takes either sources= (logits) or posteriors= (probabilities)")
        if self.on_logits:
            if sources is None:
                raise ValueError(f"{type(self).__name__} is of logits: give sources=; posteriors= do not say them")
            return self.between(full_precision(sources), full_precision(students))
        student = log_posterior(students, task, temperature)
        source = posteriors.log() if posteriors is not None else log_posterior(sources, task, temperature)  # type: ignore[arg-type]
        return scale(self.between(source, student), task, temperature)


def scale(values: Tensor, task: str, temperature: float) -> Tensor:
    """Times T^2; Bernoulli tasks sum over their C variables."""
    values = values.sum(-1) if task in ("binary", "multilabel") else values
    return values if temperature == 1.0 else values * temperature**2


def imitate(
    divergence: Divergence,
    *,
    students: Tensor,
    sources: Tensor | None = None,
    posteriors: Tensor | None = None,
    of: Batch,
    temperature: float = 1.0,
    selected: Tensor | None = None,
) -> Tensor:
    """T^2 D(source, student), mean over the samples of a batch: each student has one target.

    Args:
        divergence: D.
        students: logits ``[P, B, ..., C]``.
        sources: logits of the targets, same shape, or ``[B, ..., C]`` where all have the same. Or
        posteriors: their probabilities, already at this temperature.
        of: the batch, for its task and mask.
        temperature: T.
        selected: ``[P, B]`` booleans; a sample that is not selected adds 0 to the mean.

    Returns: ``[P]``.
    """
    values = divergence(
        students=students, sources=sources, posteriors=posteriors, task=of.task, temperature=temperature
    )
    return average(values, of.mask, selected)
