"""``config.json`` of an export: what a program needs beside the network; and what makes the folder complete."""

import copy
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from codistill.data.images.cut import Cut
from codistill.deployment.choice import Choice
from codistill.deployment.exported import CONFIG, WEIGHTS
from codistill.deployment.naming import base_model, is_hf, public
from codistill.deployment.opening import Opened
from codistill.deployment.preprocessing import COLOUR, GREY, TOKENIZER
from codistill.deployment.trained import Trained
from codistill.description import Network, versions, write_description
from codistill.spec import Spec

PROBLEMS = {"classes": "single_label_classification", "multilabel": "multi_label_classification"}  # transformers' words
Facts = Mapping[str, object]


def config_of(net: Trained, cohort: Opened, choice: Choice, file: str) -> Facts:
    """What a program needs beside the network: classes, preprocessing, the file's inputs and outputs."""
    plain = file == WEIGHTS
    return {
        "task": net.task,
        "classes": net.classes,
        "network": net.name,
        "chosen": net.chosen,
        "models": [public(cohort.networks[peer].model) for peer in choice.peers],
        "ensemble": choice.ensemble,
        "file": file,
        "input": _input_of(net, plain),
        "output": "embeddings" if net.embeds else "logits" if plain else "probabilities",
        "trained_with": dict(net.preprocess.about.versions),
        "exported_with": versions(),
    }


def _input_of(net: Trained, plain: bool) -> Facts:
    about, tokenizer = net.preprocess.about, net.preprocess.tokenizer
    shape = ["batch", *about.shape]
    if not about.images:
        unknown = None if tokenizer is None else unknown_id(tokenizer)
        file = None if tokenizer is None else TOKENIZER
        return {"dtype": about.dtype, "shape": shape, "padding": 0, "unknown": unknown, "tokenizer": file}
    kind = "float32" if plain else about.dtype
    inputs: dict[str, object] = {
        "dtype": kind,
        "shape": shape,
        "channels": {GREY: "L", COLOUR: "RGB"}.get(about.shape[0]),
        "range": [0, 255] if kind == "uint8" else "normalised" if plain else [0, 1],
        "mean": about.mean,
        "std": about.std,
        "normalisation": "(x - mean) / std, x on the 0..1 scale: a byte divided by 255",
        "normalised_by": "the caller" if plain else "the model",
    }
    return inputs | ({"steps": steps_of(net.preprocess.cut)} if about.shape[0] in (GREY, COLOUR) else {})


def steps_of(cut: Cut) -> Sequence[Facts]:
    """How an image file comes to its size, step by step, so that any program can do the same.

    Interpolation is pillow's, which averages over all pixels that a new one covers (antialias).
    """
    steps: list[Facts] = [
        {
            "do": "convert",
            "mode": "L" if cut.grey else "RGB",
            "frame": "the first",
            "orientation": "as stored: EXIF is not looked at",
            "transparency": "dropped: colours are those under it",
            "more than 8 bits to a value": "an error",
        }
    ]
    if cut.invert:
        steps.append({"do": "invert", "values": "255 - x"})
    size = [cut.height, cut.width]
    how = {"interpolation": "bicubic" if cut.how == "fit" else "bilinear", "antialias": True, "rounding": "to bytes"}
    if cut.how != "resize":
        of: Facts = {"of": "image"}
        if cut.how != "stretch":
            of = {"of": "largest centre", "shape": "that of size", "edges": "in fractions of a pixel, none rounded"}
        return [*steps, {"do": "resize", **of, "size": size, **how}]
    short = {"short_side": cut.short_side, "long_side": "long * short_side // short, at least 1"}
    edges = "left = round((width - new width) / 2), top likewise; halves to the even number"
    crop = {"do": "crop", "size": size, "where": "centre", "edges": edges, "padding": "black (0)"}
    return [*steps, {"do": "resize", "of": "image", **short, **how}, crop]


def unknown_id(tokenizer: Any) -> int | None:
    """The id that a text without any token is given."""
    from codistill.data.text.tokenizer import unknown

    return unknown(tokenizer)


# Files --------------------------------------------------------------------------------------------------------------


def write_configs(folder: Path, net: Trained, cohort: Opened, choice: Choice, config: Facts) -> None:
    """Write ``config.json``, and what a folder needs besides to be complete in itself.

    Of one network of transformers, ``config.json`` is its config too; of several, each has a folder in ``configs``. To
    open an export to safetensors, `codistill.load` needs ``networks.json``.
    """
    chosen = [cohort.networks[peer] for peer in choice.peers]
    networks, merged = [], dict(config)
    for number, (network, module) in enumerate(zip(chosen, net.members, strict=True)):
        place = ""
        if is_hf(network.model):
            place = f"configs/{number}" if len(chosen) > 1 else "."
            theirs = transformers_config(module, net)
            if len(chosen) == 1:
                merged = {**theirs, **config}
            else:
                _write(folder / place / CONFIG, theirs)
        networks.append(_network(network, number, place))
    _write(folder / CONFIG, merged)
    if config["file"] == WEIGHTS:
        about = net.preprocess.about
        write_description(folder, replace(about, data=public(about.data), networks=tuple(networks)))
    if net.preprocess.tokenizer is not None:
        shutil.copy(cohort.folder / TOKENIZER, folder / TOKENIZER)
        if any(map(is_hf, (network.model for network in chosen))):
            _write(folder / "tokenizer_config.json", _tokenizer_config(net))


def _write(path: Path, values: Facts) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _network(network: Network, number: int, config: str) -> Network:
    """One of an export's networks, which are those of one run."""
    kind, method = public(network.kind), public(network.method)
    return replace(network, run=0, peer=number, model=public(network.model), kind=kind, method=method, config=config)


def transformers_config(module: nn.Module, net: Trained) -> Facts:
    """The config of a network of transformers, with the classes by their names."""
    config: Any = copy.deepcopy(module.config)
    names = net.classes[1:] if net.task == "binary" else net.classes  # one logit is that of the second
    if not net.embeds:
        config.id2label = dict(enumerate(names))
        config.label2id = {name: number for number, name in enumerate(names)}
        config.problem_type = PROBLEMS.get(net.task)
    config.architectures = [type(module).__name__]
    values: Facts = json.loads(config.to_json_string())
    return values


def architecture_of(network: Network, module: nn.Module) -> str:
    """What the hub calls a network of transformers: its class, and the model that it is one of."""
    return f"{type(module).__name__} of {base_model(Spec.of(network.model))}"


def _tokenizer_config(net: Trained) -> Facts:
    """What transformers reads beside ``tokenizer.json``."""
    tokenizer: Any = net.preprocess.tokenizer
    unknown = unknown_id(tokenizer)
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": net.preprocess.about.shape[0],
        "padding_side": "right",
        "pad_token": tokenizer.id_to_token(0),
        **({} if unknown is None else {"unk_token": tokenizer.id_to_token(unknown)}),
    }
