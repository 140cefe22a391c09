"""What a feature loss learns on the way: connectors between channels, and weights of channels; one for each edge."""

import torch
from torch import Tensor, nn

from codistill.losses.maps import positions
from codistill.methods.parts.linear import linear, zeros


class Connector(nn.Module):
    """A 1x1 convolution (on a flat feature a linear layer) for E edges at once.

    ``[E, B, C, ...]`` -> ``[E, B, C', ...]``. Weights start as those of `nn.Conv2d`. Batch norm follows ``train()`` and
    ``eval()``.

    Args:
        edges: E.
        student: a student's feature, ``[B, C, ...]``.
        source: what it is to be compared with, ``[B, C', ...]``.
        norm: followed by batch norm, and without a bias, which that would take off again.
    """

    def __init__(self, edges: int, student: Tensor, source: Tensor, *, norm: bool = False) -> None:
        super().__init__()
        out = source.shape[1]
        self.weight = linear(edges, out, student.shape[1], like=student)
        self.bias = None if norm else zeros(edges, out, like=student)
        self.norm = nn.BatchNorm1d(edges * out, device=student.device, dtype=student.dtype) if norm else None

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        y = torch.einsum("eoc,ebcn->ebon", self.weight, positions(features))
        if self.bias is not None:
            y = y + self.bias[:, None, :, None]
        if self.norm is not None:
            channels = y.transpose(0, 1).flatten(1, 2)  # [B, E C', positions]: every edge has channels of its own
            y = self.norm(channels).unflatten(1, (len(y), -1)).transpose(0, 1)
        return y.reshape(*y.shape[:3], *features.shape[3:])


class Excitation(nn.Module):
    """Weights of channels from a source: sigmoid(W2 relu(W1 mean over positions)), divided by their sum.

    ``[E, B, C, ...]`` -> ``[E, B, C]``. Weights start as those of `nn.Conv2d`, biases at 0.

    Args:
        edges: E.
        source: ``[B, C, ...]``.
        hidden: rows of W1.
    """

    def __init__(self, edges: int, source: Tensor, hidden: int) -> None:
        super().__init__()
        channels = source.shape[1]
        self.squeeze = linear(edges, hidden, channels, like=source)
        self.squeeze_bias = zeros(edges, hidden, like=source)
        self.excite = linear(edges, channels, hidden, like=source)
        self.excite_bias = zeros(edges, channels, like=source)

    def forward(self, sources: Tensor) -> Tensor:
        """See the class."""
        pooled = positions(sources).mean(-1)
        h = (torch.einsum("ehc,ebc->ebh", self.squeeze, pooled) + self.squeeze_bias.unsqueeze(1)).relu()
        weights = (torch.einsum("ech,ebh->ebc", self.excite, h) + self.excite_bias.unsqueeze(1)).sigmoid()
        return weights / weights.sum(-1, keepdim=True)


def where_channels_differ(edges: int, student: Tensor, source: Tensor) -> nn.Module:
    """A connector where it is needed, else nothing."""
    return nn.Identity() if student.shape[1] == source.shape[1] else Connector(edges, student, source)
