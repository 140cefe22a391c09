"""Divergences of which the classes that a source finds least probable are one."""

import torch
from torch import Tensor

from codistill.checks import whole
from codistill.losses.divergence import Divergence


class Grouped(Divergence):
    """D between (q_1, ..., q_k, 1 - sum) and (p_1, ..., p_k, 1 - sum): the k classes that the source q finds most
    probable, and all others as one.

    So k probabilities and k class numbers say all of a source that is imitated. A divergence between posteriors that
    processing cannot increase (KL either way, JS, Renyi) is never larger so, and grows to D as k grows to C. Its
    gradient is that of D from q' = (q_1, ..., q_k, (1 - sum_k q) p_m / (1 - sum_k p) for all other m): what is not told
    is filled in by the student itself, which is thus taught how much all other classes get together, and nothing of how
    they share it. To leave the others out and let the k sum to 1 would teach too much confidence (Anshumann et al., ACL
    2025, arXiv:2503.16870, who draw classes instead: unbiased, at the price of noise).

    Args:
        divergence: D.
        largest: k; from C - 1 on, it is D itself.

    Raises:
        ValueError: D compares logits, of which those that are left out have no sum.
    """

    def __init__(self, divergence: Divergence, largest: int) -> None:
        if divergence.on_logits:
            raise ValueError(
                f"target=top:{largest}: {type(divergence).__name__} compares logits, and of all but the {largest} "
                "largest only the sum of their probabilities is told; set target=soft, or compare by kl, js or renyi"
            )
        self.divergence, self.largest = divergence, whole("largest", largest)

    def between(self, source: Tensor, student: Tensor) -> Tensor:
        if self.largest >= source.shape[-1] - 1:
            return self.divergence.between(source, student)
        source, student = torch.broadcast_tensors(source, student)  # type: ignore[no-untyped-call]
        top = source.topk(self.largest, -1).indices
        return self.divergence.between(_grouped(source, top), _grouped(student, top))


def _grouped(log_p: Tensor, top: Tensor) -> Tensor:
    """Those of the classes ``top``, ``[..., k]``, and the logarithm of the others' sum: ``[..., k + 1]``."""
    rest = log_p.scatter(-1, top, -torch.inf).logsumexp(-1, keepdim=True)  # without the rounding of 1 - sum
    return torch.cat([log_p.gather(-1, top), rest], -1)
