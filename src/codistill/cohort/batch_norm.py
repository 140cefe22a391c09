"""Batch statistics over all shards of a batch, where several processes have the samples of one."""

from collections.abc import Sequence
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from codistill.exchange import Mesh


def has_batch_norm(net: nn.Module) -> bool:
    """Whether a network takes statistics of its batch."""
    return any(isinstance(module, _BatchNorm) for module in net.modules())


def synchronise(nets: Sequence[nn.Module], mesh: Mesh, execute: str) -> None:
    """Let networks' batch norms take their statistics over all shards, in place; in eval mode they are as before.

    Not `nn.SyncBatchNorm`, which is for GPUs alone.

    Raises:
        ValueError: like networks are executed as a stack.
    """
    for net in nets:
        if execute == "stack" and has_batch_norm(net):
            raise ValueError(
                f"mesh: data={mesh.data}: a stack cannot take batch statistics over several processes; set execute=loop"
            )
        for module in net.modules():
            if isinstance(module, _BatchNorm):
                module.forward = MethodType(_Normalised(mesh), module)  # type: ignore[method-assign]


class _Normalised:
    """The forward of a batch norm, ``[B of this shard, C, ...]`` in and out."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh

    def __call__(self, module: _BatchNorm, x: Tensor) -> Tensor:
        if not module.training and module.running_mean is not None:
            plain: Tensor = type(module).forward(module, x)
            return plain
        own, form, dims = x.float() if x.dtype.itemsize < 4 else x, [-1, *[1] * (x.dim() - 2)], [0, *range(2, x.dim())]
        count = own.new_full((1,), own.numel() / own.shape[1])
        total = _total(torch.cat([own.sum(dims), count]), self.mesh)
        mean, count = total[:-1] / total[-1], total[-1].detach()
        centred = own - mean.view(form)
        variance = _total(centred.square().sum(dims), self.mesh) / count
        y = centred * (variance + module.eps).rsqrt().view(form)
        if module.weight is not None:
            y = y * module.weight.view(form) + module.bias.view(form)
        if module.training and module.running_mean is not None:
            _follow(module, mean.detach(), variance.detach() * count / (count - 1))
        return y.to(x.dtype)


def _follow(module: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Move the running statistics, as `nn.BatchNorm2d` does; of the variance the unbiased one."""
    assert module.num_batches_tracked is not None
    module.num_batches_tracked.add_(1)
    momentum = module.momentum if module.momentum is not None else 1.0 / module.num_batches_tracked.to(mean.dtype)
    for running, new in ((module.running_mean, mean), (module.running_var, variance)):
        assert running is not None
        running.mul_(1 - momentum).add_(new.to(running.dtype) * momentum)


def _total(x: Tensor, mesh: Mesh) -> Tensor:
    total: Tensor = _Total.apply(x, mesh)  # type: ignore[no-untyped-call]
    return total


class _Total(torch.autograd.Function):
    """The sum over all shards; a gradient comes from what every shard makes of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, mesh: Mesh) -> Tensor:
        ctx.mesh = mesh
        total = x.clone()
        mesh.add([total])
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        total = grad.clone()
        ctx.mesh.add([total])
        return total, None
