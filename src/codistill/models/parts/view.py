"""A part of every image for a network: what it does not see is 0, the mean of the data after normalisation."""

from typing import Any

import torch
from torch import Tensor, nn

from codistill.spec import UnknownName, Value

MASK = "view_mask"  # the buffer's name


def attach(what: str, net: nn.Module, view: Value, shape: tuple[int, ...]) -> None:
    """Let a network see a part of its images only.

    The mask is a buffer, so that networks with other views can run as one stack with it; a hook before forward
    multiplies the input by it. Names of submodules stay.

    Args:
        what: The network, for messages.
        net: It takes images ``[B, C, H, W]``.
        view: See `visible`.
        shape: Of an image, ``(C, H, W)``.

    Raises:
        ValueError: there is no such view, or the examples are no images.
    """
    if len(shape) != 3:
        raise ValueError(f"{what}: view={view} is a part of an image (C, H, W), and examples have shape {shape}")
    net.register_buffer(MASK, visible(what, view, shape), persistent=False)
    net.register_forward_pre_hook(_masked)


def visible(what: str, view: Value, shape: tuple[int, ...]) -> Tensor:
    """What a view shows of an image: a mask ``[C, H, W]``, True or False.

    ``left``, ``right``, ``top`` and ``bottom`` are halves, of which right and bottom have the middle where the number
    of columns or rows is odd; ``quarter1`` to ``quarter4`` are what two halves have in common, in the order of reading;
    ``channel0`` is the first channel.

    Raises:
        UnknownName: there is no such view.
        ValueError: it shows nothing of an image of this shape.
    """
    channels, height, width = shape
    channel, row, column = torch.arange(channels), torch.arange(height), torch.arange(width)
    right, bottom = column >= width // 2, (row >= height // 2).unsqueeze(1)
    views = {
        "left": ~right,
        "right": right,
        "top": ~bottom,
        "bottom": bottom,
        "quarter1": ~bottom & ~right,
        "quarter2": ~bottom & right,
        "quarter3": bottom & ~right,
        "quarter4": bottom & right,
    } | {f"channel{c}": (channel == c).view(-1, 1, 1) for c in range(channels)}
    if view not in views:
        raise UnknownName(f"view of {what}", str(view), views)
    shown = views[view].expand(shape).clone()
    if not shown.any():
        raise ValueError(f"{what}: view={view} shows nothing of an image of shape {shape}: choose another")
    return shown


def _masked(net: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    x, *rest = inputs
    return x * net.get_buffer(MASK), *rest


__all__ = ["MASK", "attach", "visible"]
