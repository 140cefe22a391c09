"""The vision transformer, in its smallest usual size, for small images. Dosovitskiy et al. 2020, arXiv:2010.11929."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from codistill.checks import fraction, whole
from codistill.models.parts.checks import image
from codistill.models.parts.layers import drop

__all__ = ["vit_micro", "vit_tiny"]

WIDTH, HEADS = 192, 3
DEPTHS = (4, 4, 4)  # of the stages


def vit_micro(classes: int, shape: tuple[int, ...], patch: int = 4, dropout: float = 0.0) -> nn.Module:
    """Vision transformer for trials on a CPU, 6 blocks of width 64 with 2 heads; our own size.

    Layout, arguments and errors: see `vit_tiny`; stage1, stage2, stage3 have 2 blocks each.
    """
    whole("vit_micro: patch", patch), fraction("vit_micro: dropout", dropout)
    return vit(64, 2, (2, 2, 2), classes, shape, patch, dropout)


def vit_tiny(classes: int, shape: tuple[int, ...], patch: int = 4, dropout: float = 0.0) -> nn.Module:
    """Vision transformer for small images, 12 blocks of width 192 with 3 heads.

    patches (linear, a class token in front, learned positions; ``[B, 1 + n, 192]``); stage1, stage2, stage3 of 4
    pre-norm blocks each; norm; pool (the class token, ``[B, 192]``); fc. Weights start truncated-normal with deviation
    0.02, biases at 0.

    Args:
        classes: number of logits.
        shape: that of one image; its sides are multiples of ``patch``.
        patch: side of the squares that are the tokens; 4 makes 64 tokens of a 32 x 32 image.
        dropout: after the positions and in each block after attention and after its feed-forward part.

    Raises:
        ValueError: not an image's shape, one that ``patch`` does not divide, or another value of an option.
    """
    whole("vit_tiny: patch", patch), fraction("vit_tiny: dropout", dropout)
    return vit(WIDTH, HEADS, DEPTHS, classes, shape, patch, dropout)


def vit(
    width: int, heads: int, depths: tuple[int, ...], classes: int, shape: tuple[int, ...], patch: int, dropout: float
) -> nn.Module:
    """Of any size; the layout is that of `vit_tiny`."""
    channels, *sides = image("vit_tiny", shape)
    if any(side % patch for side in sides):
        raise ValueError(f"vit_tiny: patch={patch} does not divide images of shape {shape}: give one that does")
    tokens = 1 + (sides[0] // patch) * (sides[1] // patch)
    stages = {
        f"stage{i}": nn.Sequential(*(Block(width, heads, dropout) for _ in range(depth)))
        for i, depth in enumerate(depths, start=1)
    }
    patches = Patches(channels, patch, tokens, width, dropout)
    end = OrderedDict(norm=nn.LayerNorm(width), pool=ClassToken(), fc=nn.Linear(width, classes))
    net = nn.Sequential(OrderedDict(patches=patches, **stages, **end))
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return net


class Patches(nn.Module):
    """Images ``[B, C, H, W]`` -> tokens ``[B, 1 + n, width]``: the class token, then each square's; positions added."""

    def __init__(self, channels: int, patch: int, tokens: int, width: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, patch, stride=patch)
        self.first = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, width), std=0.02))
        self.positions = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, tokens, width), std=0.02))
        self.drop = drop(dropout)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.conv(x).flatten(2).transpose(1, 2)
        out: Tensor = self.drop(torch.cat([self.first.expand(len(x), -1, -1), tokens], dim=1) + self.positions)
        return out


class Block(nn.Module):
    """x + attention(norm1(x)), then y + linear2(gelu(linear1(norm2(y)))), the hidden part four times as wide."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.drop1 = drop(dropout)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            OrderedDict(linear1=nn.Linear(width, 4 * width), gelu=nn.GELU(), linear2=nn.Linear(4 * width, width))
        )
        self.drop2 = drop(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = x + self.drop1(self.attention(self.norm1(x)))
        out: Tensor = y + self.drop2(self.mlp(self.norm2(y)))
        return out


class Attention(nn.Module):
    """softmax(q k^T / sqrt(d)) v for each head, its heads side by side through a linear layer.

    Written out: torch's fused attention on the CPU has no rule for a stack of peers, and 65 tokens do not need it.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each [B, heads, tokens, d]
        weights = (q * self.scale @ k.transpose(-2, -1)).softmax(-1)
        out: Tensor = self.out((weights @ v).transpose(1, 2).flatten(2))
        return out


class ClassToken(nn.Module):
    """The first token, ``[B, width]``."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]
