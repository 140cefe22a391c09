"""Weights that others have trained: put into a network, all but a head for other classes."""

import warnings
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn


class NewHead(UserWarning):
    """What a pre-trained start does not have, a head for these classes most often, begins at random."""


def adopt(what: str, net: nn.Module, weights: Mapping[str, Tensor], classes: int, absent: Collection[str] = ()) -> None:
    """Set a network's parameters and buffers; its head stays as it is where the weights are for other classes.

    A head is what differs in its first dim alone, which is ``classes`` here and one other number there.

    Args:
        what: whose weights they are, for messages.
        net: it has names of its own for all of them, and more only for what is ``absent``.
        weights: by name, as ``net.state_dict()``.
        classes: the network's.
        absent: names that the weights need not have, and that stay as they are.

    Raises:
        ValueError: a name that only one of them has, or other shapes; the first one and both shapes are named.
    """
    own = dict(net.named_parameters(remove_duplicate=False)) | dict(net.named_buffers(remove_duplicate=False))
    _check_names(what, net, own, weights, absent)
    other = [name for name in own if name in weights and own[name].shape != weights[name].shape]
    head = _head({name: (own[name], weights[name]) for name in other}, classes)
    if other and not head:
        theirs, ours = weights[other[0]].shape, own[other[0]].shape
        raise ValueError(
            f"{what}: {other[0]!r} has shape {list(theirs)} there and {list(ours)} in this network: "
            "give the weights of such a network, or change its options"
        )
    with torch.no_grad():
        for name, tensor in own.items():
            if name in weights and name not in head:
                tensor.copy_(weights[name])
    if head:
        count = len(weights[head[0]])
        warnings.warn(f"{what} is for {count} classes, not {classes}: {_list(head)} at random", NewHead, stacklevel=3)
    if absent:
        warnings.warn(f"{what} does not have everything: {_list(sorted(absent))} at random", NewHead, stacklevel=3)


def _check_names(
    what: str, net: nn.Module, own: Mapping[str, Tensor], weights: Mapping[str, Tensor], absent: Collection[str]
) -> None:
    given = {id(own[name]) for name in weights if name in own}  # one tensor may have several names
    saved = net.state_dict().keys()
    for name in own:
        if name not in weights and name not in absent and id(own[name]) not in given and name in saved:
            raise ValueError(f"{what}: {name!r} is not in it: give the weights of such a network")
    for name in weights:
        if name not in own:
            raise ValueError(f"{what}: {name!r} is not in this network: give the weights of such a network")


def _head(other: Mapping[str, tuple[Tensor, Tensor]], classes: int) -> list[str]:
    """The names of all whose shapes differ, if they differ as a head for other classes does."""
    alike = all(
        ours.dim() and theirs.dim() and ours.shape[1:] == theirs.shape[1:] and len(ours) == classes
        for ours, theirs in other.values()
    )
    return list(other) if alike and len({len(theirs) for _, theirs in other.values()}) == 1 else []


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    rest = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"{shown}{rest} {'begin' if len(names) > 1 else 'begins'}"
