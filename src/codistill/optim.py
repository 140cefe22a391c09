"""Optimizers are torch's; learning rates are functions of progress; clipping is per peer."""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from math import cos, pi

import torch
from torch import Tensor, nn

from codistill.cohort.groups import Leaf, on_device
from codistill.spec import Spec, UnknownName

Schedule = Callable[[float], float]
OPTIMIZERS = ("sgd", "adam", "adamw")


def step(at: str | float = "0.3/0.6/0.9", by: float = 0.1) -> Schedule:
    """Times ``by`` at each of these parts of the training: ``at=0.3/0.6/0.9`` is 60/120/180 of 200 epochs."""
    try:
        marks = [float(Fraction(mark)) for mark in str(at).split("/")]
    except ValueError:
        marks = []
    if not marks or not all(0.0 < mark < 1.0 for mark in marks):
        raise ValueError(f"at={at!r}: give parts of the training between 0 and 1, as 0.3/0.6/0.9")
    return lambda progress: by ** sum(progress >= mark for mark in marks)


def cosine(floor: float = 0.0) -> Schedule:
    """Half a cosine from 1 to ``floor``."""
    return lambda progress: floor + (1.0 - floor) * 0.5 * (1.0 + cos(pi * progress))


def linear(floor: float = 0.0) -> Schedule:
    """A straight line from 1 to ``floor``."""
    return lambda progress: 1.0 - (1.0 - floor) * progress


def constant() -> Schedule:
    """1 throughout."""
    return lambda progress: 1.0


_SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "step": step,
    "cosine": cosine,
    "linear": linear,
    "constant": constant,
}


def schedule(spec: str, warmup: float = 0.0) -> Schedule:
    """A factor of the learning rate as a function of progress.

    Args:
        spec: ``step:at=0.3/0.6/0.9,by=0.1``, ``cosine``, ``linear:floor=0.1``, ``constant``.
        warmup: the part of the training in which the rate rises linearly to its value; the schedule goes on beneath.

    Raises:
        UnknownName, ValueError: no such schedule or option, or a value that it refuses.
    """
    parsed = Spec.parse(spec)
    if parsed.name not in _SCHEDULES:
        raise UnknownName("schedule", parsed.name, _SCHEDULES)
    if not 0.0 <= warmup < 1.0:
        raise ValueError(f"warmup={warmup!r}: give a part of the training from 0 up to but not including 1")
    try:
        factor = _SCHEDULES[parsed.name](*parsed.args, **parsed.options)
        factor(0.0)  # a value that is no number is refused here, not in the first step
    except TypeError as error:
        raise ValueError(f"schedule={spec!r}: {error}") from None
    return lambda progress: factor(progress) * (min(progress / warmup, 1.0) if warmup else 1.0)


def build(
    parameters: Iterable[nn.Parameter],
    name: str,
    *,
    learning_rate: float,
    momentum: float = 0.9,
    nesterov: bool = True,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.0,
) -> torch.optim.Optimizer:
    """One of torch's optimizers. Every update is elementwise, so like peers may be stacked."""
    trained = [p for p in parameters if p.requires_grad]
    if name == "sgd":
        nesterov = nesterov and momentum > 0
        return torch.optim.SGD(
            trained, lr=learning_rate, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay
        )
    if name in ("adam", "adamw"):
        kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
        return kind(trained, lr=learning_rate, betas=betas, weight_decay=weight_decay)
    raise UnknownName("optimizer", name, OPTIMIZERS)


def _squares(leaf: Leaf) -> Tensor:
    """Squared norm of the gradient of each of the leaf's peers."""
    grad = leaf.tensor.grad
    assert grad is not None
    return grad.reshape(len(leaf.peers), -1).square().sum(1)


@torch.no_grad()
def clip(leaves: Sequence[Leaf], peers: int, limit: float) -> Tensor:
    """Scale each peer's gradient to a norm of at most ``limit``; its step then does not depend on the other peers.

    Returns: the norms before, ``[P]``; a peer without a gradient has 0.
    """
    leaves = [leaf for leaf in leaves if leaf.tensor.grad is not None]
    squares = torch.zeros(peers, device=leaves[0].tensor.device, dtype=leaves[0].tensor.dtype)
    owners = [on_device(leaf.peers, squares.device) for leaf in leaves]
    for leaf, owner in zip(leaves, owners, strict=True):
        squares.index_add_(0, owner, _squares(leaf).to(squares.dtype))
    norms = squares.sqrt()
    scale = (limit / (norms + 1e-6)).clamp(max=1.0)
    for leaf, owner in zip(leaves, owners, strict=True):
        grad = leaf.tensor.grad
        assert grad is not None
        grad.mul_(scale[owner].view(-1, *[1] * (grad.dim() - 1)) if leaf.stacked else scale[owner[0]])
    return norms
