"""From logits to posteriors, for every task, in one place."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.nn import functional as F

TASKS = ("classes", "binary", "multilabel", "tokens")
FEW = 16  # classes, and the most numbers in one vector of the processor
MANY = 1000  # logits, from which on moving them is worth it


def full_precision(z: Tensor) -> Tensor:
    """Half precisions become float32: a softmax in bfloat16 loses the small probabilities that carry the signal."""
    return z.float() if z.element_size() < 4 else z


def log_posterior(z: Tensor, task: str = "classes", temperature: float = 1.0) -> Tensor:
    """log p^T of logits, the distribution along the last dim.

    Args:
        z: logits ``[..., C]``.
        task: ``classes`` and ``tokens`` give ``[..., C]``; ``multilabel`` is C Bernoulli variables, ``binary`` a single
            one (C = 1), and they give ``[..., C, 2]``: one logit z is the two-class softmax over ``[0, z]``.
        temperature: T > 0 divides the logits.

    Raises:
        ValueError: unknown task; one logit with ``classes`` (a softmax over one class is always 1); several
            with ``binary``.
    """
    if task in ("classes", "tokens"):
        if z.shape[-1] == 1:
            raise ValueError(f"task={task!r} with one logit per sample: say task='binary'")
        return _KNOWN[-1].recall(z, temperature) if _KNOWN and _has_address(z) else _of_classes(z, temperature)
    if task == "binary" and z.shape[-1] != 1:
        raise ValueError(
            f"task='binary' with {z.shape[-1]} logits per sample: build the network with one output (classes=1), "
            "or say task='classes'"
        )
    if task in ("binary", "multilabel"):
        z = _softened(z, temperature)
        return torch.stack([F.logsigmoid(-z), F.logsigmoid(z)], dim=-1)
    raise ValueError(f"task={task!r}: choose one of {', '.join(TASKS)}")


def _of_classes(z: Tensor, temperature: float) -> Tensor:
    return _log_softmax(_softened(z, temperature))


def _softened(z: Tensor, temperature: float) -> Tensor:
    z = full_precision(z)
    return z if temperature == 1.0 else z / temperature


@contextmanager
def one_pass() -> Iterator[None]:
    """Inside, the log-posterior of the same logits at the same temperature is computed once, and so is its gradient:
    for a loss of several terms, up to its backward pass."""
    _KNOWN.append(_Known())
    try:
        yield
    finally:
        _KNOWN.pop()


class _Known:
    """Log-posteriors by the address of their logits, which are held so that nothing else takes it."""

    def __init__(self) -> None:
        self.found: dict[tuple[object, ...], tuple[Tensor, Tensor]] = {}

    def recall(self, z: Tensor, temperature: float) -> Tensor:
        key = (z.data_ptr(), z._version, z.shape, z.stride(), z.dtype, temperature)
        logits, log_p = self.found.get(key, (None, None))
        learns = z.requires_grad and torch.is_grad_enabled()
        if log_p is not None and not learns:
            return log_p.detach()
        if log_p is None or logits is not z or not log_p.requires_grad:
            log_p = _of_classes(z, temperature)
            self.found[key] = z, log_p
        return log_p


_KNOWN: list[_Known] = []


def _has_address(z: Tensor) -> bool:
    """Whether its address says which tensor it is: not so inside torch.vmap, nor where nothing is computed yet."""
    if not _is_computed(z) or torch._C._functorch.is_functorch_wrapped_tensor(z):
        return False
    return z.data_ptr() != 0 and not z.is_inference()


def _is_computed(z: Tensor) -> bool:
    """Whether these are numbers and not a stand-in, of which torch.compile or an export makes a program."""
    return type(z) in (Tensor, torch.nn.Parameter) and not torch.compiler.is_compiling()


def _log_softmax(z: Tensor) -> Tensor:
    """Along the last dim; of few classes by columns, where that gives the same bits."""
    if _is_computed(z) and z.dtype == torch.float32 and z.device.type == "cpu":  # a program is for any batch
        few = z.dim() > 1 and z.shape[-1] < FEW and z.numel() >= MANY
        if few and _columns_are_the_same():
            return _by_columns(z)
    return F.log_softmax(z, dim=-1)


def _by_columns(z: Tensor) -> Tensor:
    """For few classes PyTorch's CPU code takes one row after the other, and up to five times as long as for columns,
    where it takes one for each number of a vector; only columns that fill no whole vector would round otherwise."""
    rows = z.unsqueeze(0).select(0, 0).flatten(0, -2)  # so that the gradient lies in memory as the logits do
    whole = F.pad(rows.t(), (0, -len(rows) % FEW))
    return F.log_softmax(whole, dim=0)[:, : len(rows)].t().contiguous().view(z.shape)


@functools.cache
def _columns_are_the_same() -> bool:
    """Whether values and gradients by columns are those along the last dim, to the bit: tried once, since it depends on
    the processor's instructions."""
    z = torch.linspace(-9.0, 9.0, 37 * 10).sin().mul(9.0).view(37, 10).requires_grad_()
    weights = torch.linspace(0.0, 1.0, 37 * 10).view(37, 10)
    with torch.enable_grad():
        values = _by_columns(z), F.log_softmax(z, dim=-1)
        gradients = [torch.autograd.grad((each * weights).sum(), z)[0] for each in values]
    return torch.equal(*values) and torch.equal(*gradients)
