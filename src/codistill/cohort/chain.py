"""Like networks whose layers follow each other, computed layer by layer for all of them at once.

These are the operations that `torch.vmap` comes to; but vmap looks for them anew in every pass, which for small
networks is most of it, and moves the peers' axis about between convolutions.
"""

from collections.abc import Iterator, Mapping
from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Of activations: one for all peers [B, ...]; each peer's own [P, B, ...]; all peers' maps side by side [B, P C, H, W].
Form = Literal["shared", "own", "maps"]
ELEMENTWISE = (nn.Identity, nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid)
OF_MAPS = (nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)


class Chain:
    """The layers of like networks, by their names.

    Args:
        layers: of a network without weights, whose mode is followed.
    """

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        self.layers = dict(layers)

    @classmethod
    def of(cls, net: nn.Module) -> Self | None:
        """That of a network; None where it is no plain sequence of layers that are known here."""
        layers, maps = dict(_layers(net)), False
        for layer in layers.values():
            if not _is_known(layer) or (type(layer) in OF_MAPS and not maps) or (type(layer) is nn.Linear and maps):
                return None
            maps = type(layer) is nn.Conv2d or (maps and type(layer) is not nn.Flatten)
        linear = [type(layer) for layer in layers.values() if type(layer) in (nn.Flatten, nn.Linear)]
        return cls(layers) if linear[:1] == [nn.Flatten] and nn.Linear in linear and not maps else None

    def __call__(self, state: Mapping[str, Tensor], x: Tensor, own: bool) -> Tensor:
        """Logits ``[P, B, C]``.

        Args:
            state: parameters and buffers by name, with a leading peer dim.
            x: inputs ``[B, ...]``, or where each peer has its own ``[P, B, ...]``.
            own: whether each has.
        """
        form: Form = "own" if own else "shared"
        for name, layer in self.layers.items():
            if isinstance(layer, nn.Linear):
                x, form = _linear(state[f"{name}.weight"], state.get(f"{name}.bias"), x, form), "own"
            elif isinstance(layer, nn.Conv2d):
                x, form = _convolution(layer, state[f"{name}.weight"], state.get(f"{name}.bias"), x, form), "maps"
            elif isinstance(layer, nn.BatchNorm2d):
                x = _normalised(layer, {key: state[f"{name}.{key}"] for key in NORM}, x)
            elif isinstance(layer, nn.Flatten):
                peers = next(iter(state.values())).shape[0]
                x, form = _flat(x, form, peers), "shared" if form == "shared" else "own"
            else:
                x = layer(x)
        return x


NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def _layers(net: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The layers of nested sequences, in order."""
    if type(net) is not nn.Sequential or _is_hooked(net):
        yield name, net
        return
    for inner, module in net.named_children():
        yield from _layers(module, f"{name}.{inner}" if name else inner)


def _is_known(layer: nn.Module) -> bool:
    if _is_hooked(layer):
        return False
    if type(layer) is nn.Conv2d:
        return layer.groups == 1 and layer.padding_mode == "zeros"
    if type(layer) is nn.BatchNorm2d:
        return layer.affine and layer.track_running_stats and layer.momentum is not None
    if type(layer) is nn.Flatten:
        return (layer.start_dim, layer.end_dim) == (1, -1)
    return type(layer) in (nn.Linear, *ELEMENTWISE, *OF_MAPS)


def _is_hooked(module: nn.Module) -> bool:
    """Whether somebody wants to see what goes through it."""
    return any(getattr(module, f"_{kind}_hooks") for kind in ("forward", "forward_pre", "backward", "backward_pre"))


def _linear(weight: Tensor, bias: Tensor | None, x: Tensor, form: Form) -> Tensor:
    x = x.expand(len(weight), *x.shape) if form == "shared" else x
    return torch.bmm(x, weight.mT) if bias is None else torch.baddbmm(bias.unsqueeze(1), x, weight.mT)


def _convolution(layer: nn.Conv2d, weight: Tensor, bias: Tensor | None, x: Tensor, form: Form) -> Tensor:
    """Peers' filters are one convolution's: of one input, or in a group for each peer."""
    x = x.transpose(0, 1).flatten(1, 2) if form == "own" else x
    groups = 1 if form == "shared" else len(weight)
    bias = None if bias is None else bias.flatten()
    return F.conv2d(x, weight.flatten(0, 1), bias, layer.stride, layer.padding, layer.dilation, groups)


def _normalised(layer: nn.BatchNorm2d, state: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Each channel by itself, so that of all peers is that of each."""
    weight, bias, mean, variance = (state[key].flatten() for key in NORM[:4])
    if layer.training:
        state["num_batches_tracked"].add_(1)
    return F.batch_norm(x, mean, variance, weight, bias, layer.training, layer.momentum or 0.0, layer.eps)


def _flat(x: Tensor, form: Form, peers: int) -> Tensor:
    """``[B, F]`` where it is shared, else ``[P, B, F]``."""
    if form == "maps":
        return x.reshape(len(x), peers, -1).transpose(0, 1)
    return x.flatten(1 if form == "shared" else 2)


__all__ = ["Chain"]
