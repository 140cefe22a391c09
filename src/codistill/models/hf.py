"""Classifiers of Hugging Face's transformers, for token ids and for images."""

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from codistill.discovery import check_options
from codistill.libraries import needed, said_by
from codistill.models.parts.checks import image
from codistill.models.parts.libraries import fits, made, tensors_alone
from codistill.models.parts.padding import PADDED
from codistill.models.parts.pretrained import adopt
from codistill.spec import Value

__all__ = ["hf"]

OWN = ("attention", "pretrained", "start", "start_peer")  # options that are no setting of a config
PADDING = 0  # of token ids, everywhere in here


def hf(
    classes: int,
    shape: tuple[int, ...],
    name: str,
    *,
    pretrained: bool = True,
    attention: str | None = None,
    vocabulary: int | None = None,
    **options: Value,
) -> nn.Module:
    """Classifiers of Hugging Face transformers, by name or folder: hf:distilbert-base-uncased, hf:my/folder.

    The network is transformers' own, so that its submodules have its names. Examples of shape ``(T,)`` are token ids:
    0 is padding, at the end; the attention mask follows from it, and where the model pads with p, 0 and p change
    places. Examples ``(C, H, W)`` are images. A head for other classes than the weights' is left random.

    Args:
        name: A folder that save_pretrained made, or a name on huggingface.co (earlier downloads go first).
        pretrained: With the weights; else the architecture alone.
        attention: Eager or sdpa; none: transformers chooses.
        vocabulary: Number of token ids that the data has.
        options: Settings of the model's config, num_hidden_layers=2.

    Raises:
        ImportError: transformers cannot be imported; says how to install it.
        ValueError: no such model, an invalid option, examples that it refuses, or weights of another network.
    """
    name, spec, library = str(name), f"hf:{name}", needed("transformers", "hf")
    if len(shape) != 1:
        image(spec, shape)
    _expect_slow_stacks()
    with _quiet(library):
        config = _config(library, spec, name, classes, options)
        auto = _class(library, spec, config, shape)
        how = {"attn_implementation": attention, "trust_remote_code": False}
        net: Any = made(spec, lambda: auto.from_config(config, **how)).float()
        if pretrained:
            _pretrain(auto, spec, name, net, classes, config, how)
    # `alike` sees it: what forward reads in the config is in no submodule
    net.settings = json.dumps([net.config.to_dict(), attention], sort_keys=True, default=str)
    if len(shape) == 1:
        return _of_token_ids(spec, net, shape, vocabulary)
    return fits(spec, net, torch.zeros(1, *shape))


def _config(library: ModuleType, spec: str, name: str, classes: int, options: dict[str, Value]) -> Any:
    # False: never run code that lies beside a model, and never ask whether to
    config = _found(spec, name, partial(library.AutoConfig.from_pretrained, name, trust_remote_code=False))
    unknown = [option for option in options if not hasattr(config, option)]
    check_options(f"model {spec!r} or its config.json", unknown, OWN, also=tuple(config.to_dict()))
    try:
        for option, value in {**options, "num_labels": classes}.items():
            setattr(config, option, value)
    except Exception as error:  # each config checks in its own way
        raise ValueError(f"model {spec}: {said_by(error)}") from error
    config.return_dict, config.name_or_path = True, ""
    if getattr(config, "use_cache", None):
        config.use_cache = False
    return config


def _class(library: ModuleType, spec: str, config: Any, shape: tuple[int, ...]) -> Any:
    """What makes a classifier for such examples; the shape says which, as transformers cannot."""
    kind, what = ("Sequence", "token ids") if len(shape) == 1 else ("Image", "images")
    if type(config) not in getattr(library, f"MODEL_FOR_{kind.upper()}_CLASSIFICATION_MAPPING"):
        raise ValueError(
            f"model {spec} is a {config.model_type}, and transformers has none that classifies {what}, which examples "
            f"of shape {shape} are: name another model"
        )
    return getattr(library, f"AutoModelFor{kind}Classification")


def _found(spec: str, name: str, load: Callable[..., Any]) -> Any:
    """What is loaded from a folder, from an earlier download, or from the network, in this order.

    Raises:
        ValueError: it is nowhere, or is not what it should be; says what to do.
    """
    if Path(name).exists():
        return made(spec, lambda: load(local_files_only=True))
    if name[:1] in "./~" or name.count("/") > 1:
        raise ValueError(
            f"model {spec}: there is no folder {name!r}: give one that save_pretrained made, or a hub's name"
        )
    try:
        with tensors_alone():
            return load(local_files_only=True)
    except OSError:  # not there, or only a part of it
        _reach(spec, name)
        return made(spec, lambda: load(local_files_only=False))


def _reach(spec: str, name: str) -> None:
    """A ValueError at once where a name cannot be downloaded: transformers itself would try for long."""
    hub = needed("huggingface_hub", "hf")
    try:
        hub.get_hf_file_metadata(hub.hf_hub_url(name, "config.json"), timeout=10)
    except Exception as error:  # of the network, of the name, of the right to have it
        raise ValueError(
            f"model {spec}: there is no folder {name!r}, and it cannot be downloaded from huggingface.co "
            f"({said_by(error)}): check the name and the network, or give the folder of a model that was saved by "
            "save_pretrained"
        ) from error


def _pretrain(
    auto: Any, spec: str, name: str, net: nn.Module, classes: int, config: Any, how: Mapping[str, object]
) -> None:
    """The weights, by way of a network of their own: so that one without them is the same but for their values."""

    how = {**how, "ignore_mismatched_sizes": True, "output_loading_info": True}
    given, about = _found(spec, name, partial(auto.from_pretrained, name, config=config, **how))
    weights = dict(given.state_dict())
    for key, theirs, _ in about["mismatched_keys"]:
        weights[key] = torch.empty(theirs, device="meta")  # is in the head, or an error
    absent = set(about["missing_keys"])
    if 2 * len(absent) > len(weights):
        raise ValueError(
            f"model {spec}: {len(absent)} of this network's {len(weights)} tensors are not among its weights, "
            f"{min(absent)!r} for one: they are another network's; give pretrained=false"
        )
    adopt(f"model {spec}", net, {key: tensor for key, tensor in weights.items() if key not in absent}, classes, absent)


def _of_token_ids(spec: str, net: Any, shape: tuple[int, ...], vocabulary: int | None) -> nn.Module:
    config, rows = net.config, net.get_input_embeddings().num_embeddings
    if vocabulary is not None and vocabulary > rows:
        raise ValueError(
            f"model {spec} has embeddings for {rows} token ids and the data has {vocabulary}: read the data with "
            f"tokenizer=FOLDER, the model's own tokenizer, or set pretrained=false,vocab_size={vocabulary}"
        )
    if config.pad_token_id is None:
        config.pad_token_id = PADDING  # decoders look for the last token before it
    setattr(net, PADDED, PADDING)  # and not the config's, see `_as_transformers`
    net.register_forward_pre_hook(partial(_as_transformers, config.pad_token_id), with_kwargs=True)
    real = next(i for i in range(rows) if i != PADDING)
    return fits(spec, net, torch.full((1, *shape), real))


def _as_transformers(padding: int, net: nn.Module, args: tuple[Any, ...], kwargs: dict[str, object]) -> Any:
    """Token ids as a transformers model takes them: with its own padding, and a mask."""
    if len(args) != 1 or kwargs:  # transformers' own way
        return args, kwargs
    ids: Tensor = args[0]
    real = ids != PADDING
    if padding != PADDING:  # they change places, so that no token is taken for padding
        ids = torch.where(real, torch.where(ids == padding, PADDING, ids), padding)
    return (), {"input_ids": ids, "attention_mask": real.long()}


def _expect_slow_stacks() -> None:
    """Leave out torch's notice that attention is slow in a stack: `train` times both executors itself."""
    notice = "There is a performance drop because we have not yet implemented"
    if not any(pattern is not None and pattern.pattern == notice for _, pattern, *_ in warnings.filters):
        warnings.filterwarnings("ignore", message=notice)  # once: a new filter lets all other warnings come again


@contextmanager
def _quiet(library: ModuleType) -> Iterator[None]:
    """Inside, transformers prints neither bars nor reports."""
    logging = library.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
