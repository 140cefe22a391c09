"""Every labelled decision of a task as one among classes."""

from torch import Tensor

from codistill.losses.posterior import log_posterior


def class_logits(logits: Tensor, task: str = "classes") -> Tensor:
    """Logits of one choice each along the last dim: ``[..., C]`` -> ``[..., M]``; a label has the dims before it.

    Of classes and tokens they are the logits themselves. A Bernoulli variable (binary: one logit; multilabel: C) is the
    choice between ``[0, z]``, so that binary ``[..., 1]`` becomes ``[..., 2]`` and multilabel ``[..., C, 2]``.
    """
    if task == "multilabel":
        return log_posterior(logits, task)
    if task == "binary":
        return log_posterior(logits, task).squeeze(-2)
    return logits


def labelled_decisions(outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The decisions that have a label, those at -1 left out.

    Args:
        outputs: of `class_logits`, ``[..., N, M]``, or ``[..., N, T, M]`` (tokens, several labels).
        labels: ``[N]`` or ``[N, T]``.

    Returns: ``[..., n, M]`` and ``[n]``.
    """
    flat, y = outputs.flatten(outputs.dim() - 1 - labels.dim(), -2), labels.flatten()
    known = y >= 0
    return (flat, y) if bool(known.all()) else (flat[..., known, :], y[known])
