"""How an exported network is used: the section of its model card, with code that runs in the export's folder."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from codistill.deployment import standalone
from codistill.deployment.exported import WEIGHTS
from codistill.deployment.naming import is_hf
from codistill.deployment.trained import Trained
from codistill.spec import Spec

Config = Mapping[str, Any]


def usage(net: Trained, config: Config) -> str:
    """The inputs and the outputs, and code that makes an input of a file and asks the network."""
    inputs, what = config["input"], "network" if config["file"] == WEIGHTS else "program"
    if not net.preprocess.about.images:
        form = f", token ids of {inputs['tokenizer'] or 'the data'}, padded with 0"
    elif config["file"] == WEIGHTS:
        form = ", normalised as `config.json` says"
    else:
        form = f", {inputs['range'][0]}..{inputs['range'][1]}; normalisation is inside"
    takes = f"The {what} takes {inputs['dtype']} `{inputs['shape']}`{form}, and gives {config['output']}."
    return f"{takes} In this folder, with nothing but what is imported:\n\n```python\n{code(net, config)}```\n"


def code(net: Trained, config: Config) -> str:
    """A program that asks the network of one input."""
    functions = list(_functions(config["input"]))
    imports = sorted({*_imports(net, config), *_imported_to_read(config["input"])}, key=_order)
    head = "\n".join(["import json", *(["from typing import Any"] if functions else []), "", *imports])
    asks = [*_input(config["input"]), *_answers(net, config)]
    if not net.embeds:
        asks.append('print(dict(zip(config["classes"], answers[0].tolist())))')
    return "\n\n\n".join([head, *functions, "\n".join(asks)]) + "\n"


def of_transformers(config: Config) -> bool:
    """Whether transformers opens the export by itself."""
    return not config["ensemble"] and config["output"] == "logits" and is_hf(config["models"][0])


def _order(line: str) -> tuple[str, bool]:
    return line.split()[1].lower(), line.startswith("from")


def _imported_to_read(inputs: Config) -> Iterator[str]:
    yield "import numpy as np"
    if "steps" in inputs:
        yield "from PIL import Image, ImageOps"
    elif inputs.get("tokenizer"):
        yield "from tokenizers import Tokenizer"


def _imports(net: Trained, config: Config) -> Iterator[str]:
    if config["file"].endswith(".onnx"):
        yield "import onnxruntime"
        return
    yield "import torch"
    if of_transformers(config):
        yield f"from transformers import {_auto_class(net)}"
    elif config["file"] == WEIGHTS:
        yield "import codistill"


def _functions(inputs: Config) -> Iterator[str]:
    """Those that make inputs of files; none where inputs are not from files."""
    if "steps" in inputs:
        yield from (inspect.getsource(each).rstrip() for each in (standalone.read_image, standalone.as_input))
    elif inputs.get("tokenizer"):
        yield inspect.getsource(standalone.read_texts).rstrip()


def _input(inputs: Config) -> Iterator[str]:
    yield 'with open("config.json", encoding="utf-8") as file:'
    yield "    config = json.load(file)"
    if "steps" in inputs:
        yield 'x = read_image("new.png", config)'
    elif inputs.get("tokenizer"):
        yield 'x = read_texts(["a new text"], Tokenizer.from_file("tokenizer.json"), config)'
    else:
        yield f"x = np.zeros({[1, *inputs['shape'][1:]]}, np.{inputs['dtype']})  # your input"


def _answers(net: Trained, config: Config) -> Iterator[str]:
    if config["file"].endswith(".onnx"):
        yield 'session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])'
        yield 'answers = session.run(None, {"input": x})[0]'
    elif config["file"] != WEIGHTS:
        where = "" if net.device.type == "cpu" else f'.to("{net.device}")'
        yield 'program = torch.export.load("model.pt2").module()'
        yield f"answers = program(torch.from_numpy(x){where}).detach()"
    elif of_transformers(config):
        yield from _of_transformers(net)
    else:
        own = any(Spec.of(model).name == "python" for model in config["models"])
        given = ", networks=[...])  # of their own classes" if own else ")"
        yield f'net = codistill.load("."{given}'
        yield "with torch.no_grad():"
        yield "    answers = net(torch.from_numpy(x))"


def _of_transformers(net: Trained) -> Iterator[str]:
    yield f'net = {_auto_class(net)}.from_pretrained(".").eval()'
    yield "x = torch.from_numpy(x)"
    arguments, module = "x", net.members[0]
    if not net.preprocess.about.images:
        yield "mask = (x != 0).long()"
        if padding := getattr(module.config, "pad_token_id", None):
            yield f"x = torch.where(x == 0, {padding}, torch.where(x == {padding}, 0, x))  # its padding, and ours"
        arguments = "input_ids=x, attention_mask=mask"
    yield "with torch.no_grad():"
    yield f"    answers = net({arguments}).logits"


def _auto_class(net: Trained) -> str:
    return f"AutoModelFor{'Image' if net.preprocess.about.images else 'Sequence'}Classification"
