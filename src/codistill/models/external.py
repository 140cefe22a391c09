"""Networks of timm and torchvision, by the names that these libraries give them."""

import torch
from torch import nn

from codistill.libraries import needed
from codistill.models.parts.checks import image
from codistill.models.parts.libraries import fits, made
from codistill.models.parts.pretrained import adopt
from codistill.spec import UnknownName, Value

__all__ = ["timm", "torchvision"]


def timm(classes: int, shape: tuple[int, ...], name: str, *, pretrained: bool = False, **options: Value) -> nn.Module:
    """Image networks of timm, by name: timm:resnet18,pretrained=true.

    Args:
        classes: logits.
        shape: ``(C, H, W)``; the network is built for C channels.
        name: one of ``timm.list_models()``.
        pretrained: with timm's weights, which it downloads; it gives them a new head for other classes.
        options: of ``timm.create_model``, ``img_size=32,drop_path_rate=0.1``.

    Raises:
        ImportError: timm cannot be imported; says how to install it.
        UnknownName: timm has no such network.
        ValueError: an option or a shape that the network refuses, or weights that cannot be had.
    """
    spec, library = f"timm:{name}", needed("timm", "timm")
    channels, *_ = image(spec, shape)
    if options.get("checkpoint_path"):  # timm may unpickle anything
        raise ValueError(f"model {spec}: checkpoint_path={options['checkpoint_path']!r}: use start= in its place")
    if not str(name).startswith("hf-hub:") and str(name).partition(".")[0] not in (known := library.list_models()):
        raise UnknownName("network of timm", str(name), known)
    options = {"pretrained": pretrained, "num_classes": classes, "in_chans": channels, **options}
    net = made(spec, lambda: library.create_model(str(name), **options), "pretrained=false")
    return fits(spec, net, torch.zeros(1, *shape))


def torchvision(
    classes: int, shape: tuple[int, ...], name: str, *, weights: str | None = None, **options: Value
) -> nn.Module:
    """Image networks of torchvision, by name: torchvision:resnet18,weights=DEFAULT.

    Args:
        classes: logits; a head for other classes than the weights' is left random.
        shape: ``(C, H, W)``; most of these networks take 3 channels.
        name: one of ``torchvision.models.list_models()``.
        weights: torchvision's, which it downloads: ``DEFAULT``, ``IMAGENET1K_V1``.
        options: of the network's function.

    Raises:
        ImportError: torchvision cannot be imported; says how to install it.
        UnknownName: torchvision has no such network.
        ValueError: an option or a shape that the network refuses, or weights that cannot be had.
    """
    spec, library = f"torchvision:{name}", needed("torchvision.models", "torchvision")
    image(spec, shape)
    if str(name).lower() not in (known := library.list_models()):
        raise UnknownName("network of torchvision", str(name), known)
    net = made(spec, lambda: library.get_model(str(name), weights=None, num_classes=classes, **options))
    if weights is not None:
        # by a network of their own: torchvision refuses them for other classes
        given = made(spec, lambda: library.get_model(str(name), weights=weights, **options), "weights=none")
        adopt(f"model {spec},weights={weights}", net, given.state_dict(), classes)
    return fits(spec, net, torch.zeros(1, *shape))
