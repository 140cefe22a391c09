"""A step's outputs ``[P, B, ...]`` in blocks: each process computes its own, and all get the whole.

What a process gets from the others is detached. Every process then computes the same terms from the same numbers, those
of all peers on all samples, and goes backward through its own block alone: its gradients are those of the whole loss.
"""

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from codistill.exchange.mesh import HEADER, Mesh
from codistill.randomness import derive

Forms = list[list[tuple[torch.Size, torch.dtype]]]  # of a process: by group, of its tensors; none of other places'


@dataclass(eq=False)
class Blocks:
    """How the inputs of a cohort are cut, and its outputs put together."""

    mesh: Mesh
    _forms: dict[Hashable, list[Forms]] = field(default_factory=dict, init=False)

    def shard(self, x: Any, dim: int) -> Any:
        """This process's samples of inputs, which lie along ``dim``.

        Raises:
            ValueError: fewer samples than shards, to learn from.
        """
        if self.mesh.data == 1:
            return x
        samples = pytree.tree_leaves(x)[0].shape[dim]
        if samples < self.mesh.data and torch.is_grad_enabled():
            raise ValueError(
                f"mesh: data={self.mesh.data}, and a batch has {samples} samples: set data lower, or batch up"
            )
        own = self.mesh.samples_at(self.mesh.shard, samples)
        return pytree.tree_map(lambda t: t.narrow(dim, own.start, own.stop - own.start), x)

    def whole(
        self, own: Sequence[Sequence[Tensor]], places: Sequence[int], samples: int, device: torch.device, key: Hashable
    ) -> list[list[Tensor]]:
        """What all processes have computed.

        Args:
            own: of each group, its tensors ``[n, B of this shard, ...]``; of groups at other places, none.
            places: of each group.
            samples: B.
            device: of the tensors.
            key: whatever their shapes depend on, the same in all processes.

        Returns: of each group, its tensors ``[n, B, ...]``; gradients go into this process's own block.

        Raises:
            ValueError: tensors of other shapes than before, or without a dim of samples.
        """
        mine: Forms = [[(t.shape, t.dtype) for t in tensors] for tensors in own]
        if key not in self._forms:
            self._check(mine, samples)
            self._forms[key] = self.mesh.every(mine)
        forms = self._forms[key]
        if forms[self.mesh.rank] != mine:
            raise ValueError(
                f"outputs of the shapes {_shapes(mine)} for inputs whose outputs had {_shapes(forms[self.mesh.rank])}: "
                "what processes exchange must have shapes that depend on those of the inputs alone"
            )
        sent = _packed([t for tensors in own for t in tensors], max(map(_bytes, forms)), device)
        blocks = [_unpacked(row, form) for row, form in zip(self.mesh.gather(sent), forms, strict=True)]
        blocks[self.mesh.rank] = [list(tensors) for tensors in own]
        return [self._joined(blocks, group, place, samples) for group, place in enumerate(places)]

    def _joined(self, blocks: list[list[list[Tensor]]], group: int, place: int, samples: int) -> list[Tensor]:
        """A group's tensors of all shards, put together."""
        if samples < self.mesh.data or self.mesh.data == 1:  # each shard had all of them
            shard = self.mesh.shard if place == self.mesh.place else 0
            return blocks[place * self.mesh.data + shard][group]
        shards = [blocks[place * self.mesh.data + shard][group] for shard in range(self.mesh.data)]
        return [torch.cat(pieces, 1) for pieces in zip(*shards, strict=True)]

    def _check(self, mine: Forms, samples: int) -> None:
        own = self.mesh.samples_at(self.mesh.shard, samples)
        for shape in (shape for group in mine for shape, _ in group):
            if self.mesh.data > 1 and (len(shape) < 2 or shape[1] != own.stop - own.start):
                raise ValueError(
                    f"mesh: data={self.mesh.data}: an output, or a feature that the method compares, has the shape "
                    f"{list(shape[1:])} for {own.stop - own.start} samples; set data=1"
                )

    @contextmanager
    def drawing(self, device: torch.device) -> Iterator[None]:
        """Inside, networks draw (dropout) what no other block draws; afterwards all processes draw alike again."""
        seed = int(torch.randint(2**62, ()))  # on the CPU: nothing is waited for
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(derive(seed, self.mesh.place, self.mesh.shard))
            yield


def _size(form: tuple[torch.Size, torch.dtype]) -> int:
    """Bytes of a tensor on the wire, where each begins at a multiple of 8."""
    shape, dtype = form
    return -(-shape.numel() * dtype.itemsize // 8) * 8


def _bytes(forms: Forms) -> int:
    return HEADER + sum(_size(form) for group in forms for form in group)


def _shapes(forms: Forms) -> list[list[int]]:
    return [list(shape) for group in forms for shape, _ in group]


def _packed(tensors: Sequence[Tensor], size: int, device: torch.device) -> Tensor:
    """Tensors as bytes, after a header."""
    packed = torch.zeros(size, dtype=torch.uint8, device=device)
    start = HEADER
    for t in tensors:
        flat = t.detach().contiguous().view(-1).view(torch.uint8)
        packed[start : start + len(flat)] = flat
        start += _size((t.shape, t.dtype))
    return packed


def _unpacked(packed: Tensor, forms: Forms) -> list[list[Tensor]]:
    """The inverse of `_packed`: views."""
    start = HEADER
    groups: list[list[Tensor]] = []
    for group in forms:
        groups.append([])
        for shape, dtype in group:
            flat = packed[start : start + shape.numel() * dtype.itemsize]
            groups[-1].append(flat.view(dtype).view(shape))
            start += _size((shape, dtype))
    return groups


__all__ = ["Blocks"]
