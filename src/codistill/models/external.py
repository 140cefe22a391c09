"""Networks of timm and torchvision, by the names that these libraries give them."""

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

import torch
from torch import Tensor, nn

from codistill.models.adopt import adopt
from codistill.models.fit import image
from codistill.models.trial import said_by
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


# What libraries of networks share -------------------------------------------------------------------------------------


def needed(module: str, extra: str) -> ModuleType:
    """A library's module; an ImportError that names the extra, where it is missing or does not go with this torch."""
    try:
        return importlib.import_module(module)
    except Exception as error:  # a build for another torch fails with whatever comes first
        missing = isinstance(error, ModuleNotFoundError) and error.name in (module, module.partition(".")[0])
        library = module.partition(".")[0]
        why = (
            "is not installed" if missing else f"cannot be imported beside torch {torch.__version__} ({said_by(error)})"
        )
        raise ImportError(f"{library} {why}: pip install 'codistill[{extra}]'") from error


def made(spec: str, make: Callable[[], nn.Module], without: str = "") -> nn.Module:
    """What a library makes, of tensors alone; its refusals as a ValueError.

    Args:
        spec: what is made, for messages.
        make: makes it.
        without: the option without which nothing is downloaded.

    Raises:
        ValueError: with what the library says.
    """
    try:
        with tensors_alone():
            return make()
    except Exception as error:
        offline = isinstance(error, OSError) and without
        fix = f"; {without} needs no download, and start=FILE takes weights that you have" if offline else ""
        raise ValueError(f"model {spec}: {said_by(error)}{fix}") from error


@contextmanager
def tensors_alone() -> Iterator[None]:
    """Inside, `torch.load` unpickles tensors and nothing that could run code, whatever a library asks it for."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def fits(spec: str, net: nn.Module, example: Tensor) -> nn.Module:
    """The network in train mode, if it gives logits for an example; else a ValueError that says what it wants."""
    try:
        with torch.no_grad():
            output = net.eval()(example)
    except Exception as error:
        raise ValueError(
            f"model {spec} does not take examples of shape {tuple(example.shape[1:])}: {said_by(error)}"
        ) from error
    if not isinstance(getattr(output, "logits", output), Tensor):
        raise ValueError(f"model {spec} gives a {type(output).__name__}, not logits: name a classifier")
    return net.train()
