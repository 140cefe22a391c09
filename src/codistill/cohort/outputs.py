"""What peers make of a batch, put together from what the groups that execute them give."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from codistill.cohort.groups import Raw, rows_of
from codistill.losses.posterior import full_precision

Feature = Tensor | list[Tensor]
Taps = Mapping[str, str]  # feature -> submodule


class Outputs(NamedTuple):
    """What peers make of a batch.

    Attributes:
        logits: ``[P, B, ...]``.
        features: by tap, ``[P, B, ...]``, or a list of P tensors ``[B, ...]`` where their shapes differ.
    """

    logits: Tensor
    features: dict[str, Feature]

    def pooled(self, *names: str) -> Tensor:
        """Features side by side, of maps the mean over their positions, in float32 at least: ``[P, B, F]``.

        Raises:
            ValueError: they are not equally wide in all peers.
        """
        features = [self.features[name] for name in names]
        if all(isinstance(f, Tensor) for f in features):
            return torch.cat([_pooled(f, 2) for f in features if isinstance(f, Tensor)], -1)
        each = self.pooled_by_peer(*names)
        if len({f.shape[-1] for f in each}) > 1:
            widths = ", ".join(str(f.shape[-1]) for f in each)
            raise ValueError(
                f"features={'/'.join(names)!r} are {widths} wide in these peers, and this method compares them, or "
                "gives each the same classifier: name others, or give networks where they are equally wide"
            )
        return torch.stack(each)

    def pooled_by_peer(self, *names: str) -> list[Tensor]:
        """As `pooled`, each peer's ``[B, F]``: of any width."""
        return [torch.cat([_pooled(self.features[name][i], 1) for name in names], -1) for i in range(len(self.logits))]


def _pooled(feature: Tensor, leading: int) -> Tensor:
    """Mean over the positions, which follow so many leading dims and the channels."""
    return full_precision(feature.flatten(leading + 1).mean(-1) if feature.dim() > leading + 1 else feature)


def assembled(
    raws: Sequence[Raw], computed: Sequence[Sequence[int]], peers: Sequence[int], taps: Mapping[int, Taps]
) -> Outputs:
    """The outputs of some peers, in their order.

    Args:
        raws: of every group, its logits and features by submodule.
        computed: of every group, the peers that these are of, in the order of their leading dim.
        peers: whose outputs are wanted.
        taps: of each of them, its features.

    Raises:
        ValueError: logits of different shapes.
    """
    index = {peer: i for i, peer in enumerate(peer for group in computed for peer in group)}
    order = [index[peer] for peer in peers]
    logits = _gathered([z for z, _ in raws], order)
    if isinstance(logits, list):
        shapes = sorted({tuple(z.shape) for z in logits})
        raise ValueError(f"peers disagree on the shape of their logits: {shapes}; build them for the same classes")
    names = [name for name in taps[peers[0]] if all(name in taps[peer] for peer in peers)]
    features = {
        name: _gathered(
            [
                _rows(features, [taps[peer][name] if peer in taps else None for peer in group])
                for (_, features), group in zip(raws, computed, strict=True)
            ],
            order,
        )
        for name in names
    }
    return Outputs(logits, features)


def _rows(features: Mapping[str, Tensor], submodules: Sequence[str | None]) -> Feature:
    """A group's feature, each row's at its own submodule; None: nobody wants this row."""
    wanted = [name for name in dict.fromkeys(submodules) if name is not None]
    if len(wanted) == 1:
        return features[wanted[0]]
    return [features[name or wanted[0]][row] for row, name in enumerate(submodules)]


def _gathered(groups: Sequence[Feature], order: list[int]) -> Feature:
    """Rows of several groups, in another order: one tensor where they have one shape."""
    tensors = [group for group in groups if isinstance(group, Tensor)]
    if len(tensors) < len(groups) or any(t.shape[1:] != tensors[0].shape[1:] for t in tensors):
        rows = [row for group in groups for row in group]
        chosen = [rows[i] for i in order]
        return torch.stack(chosen) if all(row.shape == chosen[0].shape for row in chosen) else chosen
    return rows_of(tensors[0] if len(tensors) == 1 else torch.cat(tensors), order)
