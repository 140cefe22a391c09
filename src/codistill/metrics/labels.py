"""Do the labels fit the logits? A mismatch that broadcasts would give a number that means nothing."""

from torch import Tensor


def check(logits: Tensor, labels: Tensor) -> None:
    """Raises ValueError unless logits are ``[..., N, C]`` with C > 1 and labels ``[N]`` are 0..C-1."""
    if logits.dim() < 2 or labels.shape != logits.shape[-2:-1]:
        raise ValueError(
            f"logits {list(logits.shape)} and labels {list(labels.shape)} do not fit: give [..., N, C], [N]"
        )
    classes = logits.shape[-1]
    if classes < 2:
        raise ValueError("one logit per example: give log_posterior(z, task='binary'), two classes, instead")
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise ValueError(
            f"labels run from {int(labels.min())} to {int(labels.max())}, "
            f"but there are classes 0 to {classes - 1}: leave unlabelled examples out"
        )
