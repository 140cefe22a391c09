"""Outputs as ``target=top:k`` needs them: of each sample its k largest logits, where they are, and the others' sum."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from codistill.exchange.mesh import HEADER, Mesh


@dataclass(frozen=True)
class Largest:
    """How much of other processes' logits ``[..., C]`` is told.

    Attributes:
        count: k.
        classes: C.
        temperature: of the posterior that is imitated.
    """

    count: int
    classes: int
    temperature: float = 1.0

    def told(self, z: Tensor) -> list[Tensor]:
        """The k largest logits and their classes (int32), ``[..., k]`` each, and one logit ``[..., 1]`` for all others,
        whose share of the posterior is theirs."""
        values, numbers = z.detach().topk(self.count, -1)
        others = (z.detach() / self.temperature).scatter(-1, numbers, -torch.inf).logsumexp(-1, keepdim=True)
        return [values, numbers.int(), others * self.temperature]

    def filled(self, told: Sequence[Tensor]) -> Tensor:
        """Logits ``[..., C]`` of which all that is told is the same; the others share their sum equally."""
        values, numbers, others = told
        each = others - self.temperature * math.log(self.classes - self.count)
        return each.repeat(*[1] * (each.dim() - 1), self.classes).scatter_(-1, numbers.long(), values)


def of_owners(mesh: Mesh, values: Tensor) -> Tensor:
    """What each process says of its own peers; ``values`` is ``[n, P]``, and so is what is returned."""
    sent = torch.cat([values.new_zeros(HEADER, dtype=torch.uint8), values.reshape(-1).view(torch.uint8)])
    rows = mesh.gather(sent)[:, HEADER:].contiguous().view(values.dtype).view(mesh.size, *values.shape)
    peers = [mesh.peers_at(place, values.shape[1]) for place in range(mesh.peer)]
    return torch.cat([rows[place * mesh.data, :, own.start : own.stop] for place, own in enumerate(peers)], 1)


__all__ = ["Largest", "of_owners"]
