"""Networks, one architecture to a file; the folder is the list.

Logits come out of a submodule ``fc`` in all of ours, so ``fc:input`` taps the last features; the stages before
it are ``stage1``, ``stage2``, ...
"""

import inspect
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from codistill.discovery import available, called, check_options, construct, find, options_of, trusting
from codistill.libraries import said_by
from codistill.models.parts.trial import place_of
from codistill.models.parts.view import attach
from codistill.randomness import seeded
from codistill.spec import Spec, Value, WrongKind

Known = Mapping[str, Any]  # by parameter name
VIEW = "view"  # an option of every network of images
# What the parameters of the user's own may be called, where it takes them by keyword.
CLASSES = ("num_classes", "n_classes", "num_labels")
CHANNELS = ("in_channels", "in_chans", "num_channels", "n_channels")
SHAPE = ("shape", "input_shape", "image_shape")
WITHOUT: dict[str, dict[str, Value]] = {  # the same networks, and nothing is downloaded
    "hf": {"pretrained": False},
    "timm": {"pretrained": False},
    "torchvision": {"weights": None},
}


def network_name(spec: str | Spec) -> str:
    """What a network is called in tables: its spec, and your own without its module: ``my_nets:Small,width=3`` ->
    ``Small,width=3``."""
    spec = Spec.of(spec)
    if spec.name in available(__name__) or not spec.args:
        return str(spec)
    rest = str(Spec("x", spec.args[1:], spec.options)).partition(":")[2]
    return str(spec.args[0]) + (f",{rest}" if rest else "")


def build(
    spec: str | Spec, classes: int, shape: tuple[int, ...], seed: int | None = None, known: Known | None = None
) -> nn.Module:
    """The network that a spec names, on the CPU.

    Args:
        spec: ``name[:option=value,...]`` (``resnet32:shortcut=a``), or ``module:function[,option=value,...]``
            for the user's own, called as ``function(classes, shape, **options)``; or, where it has a parameter
            ``num_classes``, by keyword, with ``in_channels`` too if it has that. ``view=left`` lets any network of
            images see a part of them, see `codistill.models.parts.view.visible`.
        classes: the number of logits.
        shape: that of one example, ``(1, 8, 8)``.
        seed: the same seed gives the same weights and leaves torch's generator alone; None draws from it.
        known: what the data knows, `DataSet.known`; given to a model that has parameters of these names.

    Raises:
        UnknownName: no such model or option, with the nearest that exist.
        ValueError: an invalid value or shape, or a bug in the user's own, with its file and line.
        WrongKind: the user's own cannot be called so, or returns something else.
    """
    spec = Spec.of(spec)
    make, args = find(__name__, spec)
    label = called(spec, args)
    by_keyword = _by_keyword(make, classes, shape)
    context = () if by_keyword else (classes, shape)
    if not by_keyword:
        _check_call(make, label)
    _check_reads(make, label, known or {})
    spec, view = _without_view(spec, make)
    if not any(p.kind is p.VAR_KEYWORD for p in inspect.signature(make).parameters.values()):
        options = options_of(make, len(context))
        check_options(f"model {label!r}", spec.options, options, also=("start", "start_peer", VIEW))
    known = {name: value for name, value in {**(known or {}), **by_keyword}.items() if name not in spec.options}
    try:
        with nullcontext() if seed is None else seeded(torch.device("cpu"), seed):
            net = construct(__name__, spec, *context, **known)
    except (ValueError, ImportError, OSError):  # these say what is wrong
        raise
    except Exception as error:
        if make.__module__.startswith(f"{__name__}."):
            raise
        raise ValueError(f"model '{spec}' cannot be built: {said_by(error)}{place_of(error)}") from error
    if not isinstance(net, nn.Module):
        raise WrongKind(f"model '{spec}' is a {type(net).__name__}: return a torch.nn.Module")
    if view is not None:
        attach(f"model {label!r}", net, view, shape)
    return net


def architecture(
    spec: str | Spec, classes: int, shape: tuple[int, ...], known: Known | None = None, *, trust: bool
) -> nn.Module:
    """The network that a spec names, for weights that take the place of its own: no start is read, nothing downloaded.

    Args:
        spec: as of `build`, and it may say what to start from.
        classes: as of `build`.
        shape: as of `build`.
        known: as of `build`.
        trust: whether the user's own, ``module:Name``, may be imported, which runs the module's code.

    Raises:
        Untrusted: it may not be.
        ValueError: as of `build`.
    """
    spec = Spec.of(spec).without("start", "start_peer")
    with nullcontext() if trust else trusting(()):
        return build(spec.replace(**WITHOUT.get(spec.name.lower(), {})), classes, shape, known=known)


def _without_view(spec: Spec, make: Callable[..., Any]) -> tuple[Spec, Value]:
    """A spec without the view that a network is to be given, and this view; an option of the model's own stays."""
    if VIEW in inspect.signature(make).parameters:
        return spec, None
    return spec.without(VIEW), spec.options.get(VIEW)


def _by_keyword(make: Any, classes: int, shape: tuple[int, ...]) -> dict[str, Any]:
    """The arguments of the user's own network that is written as most are, ``Net(in_channels=3, num_classes=10)``."""
    if isinstance(make, nn.Module) or not callable(make) or getattr(make, "__module__", "").startswith(__name__):
        return {}
    values = dict.fromkeys(CLASSES, classes) | dict.fromkeys(CHANNELS, shape[0]) | dict.fromkeys(SHAPE, shape)
    parameters = inspect.signature(make).parameters
    return {name: values[name] for name in parameters if name in values} if set(CLASSES) & set(parameters) else {}


def count_parameters(net: nn.Module) -> int:
    """How many numbers the optimizer may move."""
    return sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)


def _check_call(make: Any, spec: str) -> None:
    """Raise an error that says how a user's own is called, where it cannot be called with classes and shape."""
    name = spec.rpartition(":")[2]
    how = f"called as {name}(classes, shape, **options)"
    if not callable(make) or isinstance(make, nn.Module):
        kind = "a network that is built already" if isinstance(make, nn.Module) else f"a {type(make).__name__}"
        raise WrongKind(f"model {spec!r} is {kind}: name a function or a class that is {how}")
    try:
        inspect.signature(make).bind_partial(None, None)
    except TypeError as error:
        fix = "let it take classes and shape, that of one example, first"
        raise ValueError(f"model {spec!r}: it is {how}, and {name} cannot be ({error}): {fix}") from None


def _check_reads(make: Callable[..., Any], spec: str, known: Known) -> None:
    """A ValueError where one of ours is given token ids and asks for no vocabulary: it takes numbers."""

    def reads(model: Callable[..., Any]) -> bool:
        return "vocabulary" in inspect.signature(model).parameters

    if "vocabulary" in known and make.__module__.startswith(f"{__name__}.") and not reads(make):
        readers = [name for name in available(__name__) if reads(find(__name__, Spec(name))[0])]
        raise ValueError(f"model {spec!r} takes images, and these data are token ids: use {' or '.join(readers)}")
