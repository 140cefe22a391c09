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
    shapes = {name: (own[name].shape, weights[name].shape) for name in own if name in weights}
    head = {name: (ours, theirs) for name, (ours, theirs) in shapes.items() if ours != theirs}
    if head and not _is_head(list(head.values()), classes):
        name, (ours, theirs) = next(iter(head.items()))
        raise ValueError(
            f"{what}: {name!r} has shape {list(theirs)} there and {list(ours)} in this network: "
            "give the weights of such a network, or change its options"
        )
    with torch.no_grad():
        for name in shapes.keys() - head.keys():
            own[name].copy_(weights[name])
    if head:
        count, names = next(iter(head.values()))[1][0], _list(list(head))
        warnings.warn(f"{what} is for {count} classes, not {classes}: {names} at random", NewHead, stacklevel=3)
    if absent:
        warnings.warn(f"{what} does not have everything: {_list(sorted(absent))} at random", NewHead, stacklevel=3)


def _check_names(
    what: str, net: nn.Module, own: Mapping[str, Tensor], weights: Mapping[str, Tensor], absent: Collection[str]
) -> None:
    given = {id(own[name]) for name in weights if name in own}  # one tensor may have several names
    saved = net.state_dict().keys() - weights.keys() - set(absent)
    lacking = next((name for name in own if name in saved and id(own[name]) not in given), None)
    if name := lacking or next((name for name in weights if name not in own), None):
        where = "it" if lacking else "this network"
        raise ValueError(f"{what}: {name!r} is not in {where}: give the weights of such a network")


def _is_head(shapes: Sequence[tuple[torch.Size, torch.Size]], classes: int) -> bool:
    """Whether shapes here and there differ as those of a head for other classes do: in one number, the first."""
    return len({theirs[:1] for _, theirs in shapes}) == 1 and all(
        len(theirs) > 0 and ours == (classes, *theirs[1:]) for ours, theirs in shapes
    )


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    rest = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"{shown}{rest} {'begin' if len(names) > 1 else 'begins'}"
