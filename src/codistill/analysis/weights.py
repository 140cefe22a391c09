"""A network's weights as a point: moving away from it and back, and by how much in proportion to each filter."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from codistill.randomness import generator

Weights = dict[str, Tensor]


def weights(net: nn.Module, *, learning: bool = False) -> Weights:
    """The floating-point parameters by name, without running statistics. ``learning``: only those that training moves.

    Raises:
        ValueError: there is none.
    """
    chosen = ((name, p) for name, p in net.named_parameters() if p.requires_grad or not learning)
    floating: Weights = {name: p for name, p in chosen if p.is_floating_point()}
    if not floating:
        kind = "parameters that learn (requires_grad)" if learning else "parameters"
        raise ValueError(f"a {type(net).__name__} has no {kind}: there is nothing to move")
    return floating


def drawn(net: nn.Module, seed: int, *purpose: int | str, signs: bool = False) -> Weights:
    """Standard normal numbers (or signs, -1 and 1) in the shape of each parameter.

    They are a function of the seed, the purpose and the parameter's name, so networks of like architecture get the
    same ones, and are drawn on the CPU, so every device does.
    """
    tensors = {}
    for name, p in weights(net).items():
        source = generator(seed, *purpose, name)
        if signs:
            values = torch.randint(0, 2, p.shape, generator=source).to(p.dtype).mul_(2).sub_(1)
        else:
            values = torch.randn(p.shape, generator=source, dtype=torch.float64).to(p.dtype)
        tensors[name] = values.to(p.device)
    return tensors


def norm(tensors: Weights) -> float:
    """Euclidean norm of all of them as one vector."""
    return float(sum(t.detach().double().square().sum() for t in tensors.values()) ** 0.5)


@torch.no_grad()
def filter_norms(tensors: Weights) -> Weights:
    """Norm of each filter, in a shape that broadcasts against its parameter.

    A filter is what makes one output: the first dim's slices of a weight ``[out, ...]``. Of a vector (a bias, batch
    norm's factors) it is each number by itself.
    """
    return {
        name: t.abs() if t.dim() < 2 else torch.linalg.vector_norm(t, dim=tuple(range(1, t.dim())), keepdim=True)
        for name, t in tensors.items()
    }


@contextmanager
@torch.no_grad()
def moved(net: nn.Module, by: Weights) -> Iterator[None]:
    """Inside, every named parameter is ``w + by``; afterwards it is what it was, bit for bit."""
    moves = [(p, p.clone(), by[name]) for name, p in net.named_parameters() if name in by]
    try:
        for p, _, step in moves:
            p.add_(step)
        yield
    finally:
        for p, before, _ in moves:
            p.copy_(before)
