"""Export a trained network, or an ensemble, for programs that know nothing of this package."""

import json
import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from codistill.checks import one_of
from codistill.deployment.card import card_of
from codistill.deployment.choice import Choice, choose
from codistill.deployment.opening import Opened, built, opened
from codistill.deployment.preprocessing import TOKENIZER
from codistill.deployment.trained import Ensemble, Trained
from codistill.description import DTYPES, versions
from codistill.libraries import needed, said_by

Format = Literal["safetensors", "onnx", "torch"]
FILES = {"safetensors": "model.safetensors", "onnx": "model.onnx", "torch": "model.pt2"}
TOLERANCE = 1e-4  # of an exported program's probabilities (absolute), or of embeddings (relative to their largest)
BATCHES = (2, 1, 5)  # tried with every exported program; the first is what it is traced with


class NotExportable(ValueError):
    """A network that a format cannot hold, or that answers differently there."""


class Program(nn.Module):
    """What is exported: raw inputs to probabilities, or to embeddings; normalisation is inside.

    Args:
        net: the trained one; images are its data set's kind, bytes ``[N, C, H, W]`` uint8 or floats on the 0..1 scale.
    """

    def __init__(self, net: Trained) -> None:
        super().__init__()
        self.net = net

    def forward(self, inputs: Tensor) -> Tensor:
        """Raw inputs ``[N, *shape]`` to probabilities ``[N, classes]``, or to embeddings ``[N, D]``."""
        x = self.net.preprocess.normalised(inputs)
        answers: Tensor = self.net(x) if self.net.embeds else self.net.probabilities(x)
        return answers


def export(
    run: str | Path,
    folder: str | Path,
    network: int | str = "best",
    *,
    format: Format = "safetensors",
    row: str | None = None,
    seed: int | None = None,
    networks: Sequence[nn.Module] | None = None,
    trust: bool = False,
) -> Path:
    """Write a trained network, its ``config.json`` and a model card into a new folder.

    - ``safetensors``: ``model.safetensors``, the network's plain state dict (of an ensemble ``0.conv.weight``,
      ``1.conv.weight``); preprocessing is described in the config.
    - ``onnx``: ``model.onnx``, checked against PyTorch in onnxruntime; any batch size, images as they were in training
      before normalisation, which is inside (bytes ``[N, C, H, W]``, or floats on 0..1: see the config), or token ids;
      gives probabilities, of retrieval data embeddings.
    - ``torch``: ``model.pt2``, the same as a program of `torch.export`.

    Args:
        run: as of `load`, as are all but ``folder`` and ``format``.
        folder: a new one.
        format: of the file.

    Returns: the file with the network.

    Raises:
        FileExistsError: the folder holds something.
        NotExportable: the format cannot hold this network.
        ImportError: onnx is not installed.
    """
    one_of("format", format, get_args(Format))
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} already exists: choose another folder")
    cohort = opened(Path(run), row, seed)
    choice = choose(cohort.folder, cohort.networks, cohort.run, network)
    net = built(cohort, choice, networks, trust=trust)
    draft = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        WRITERS[format](net, draft / FILES[format])
        config = config_of(net, cohort, choice, format)
        (draft / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (draft / "README.md").write_text(card_of(net, cohort, choice, config), encoding="utf-8")
        if net.preprocess.tokenizer is not None:
            shutil.copy(cohort.folder / TOKENIZER, draft / TOKENIZER)
        if folder.exists():
            folder.rmdir()
        draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder / FILES[format]


def config_of(net: Trained, cohort: Opened, choice: Choice, format: Format) -> Mapping[str, Any]:
    """What a program needs beside the network: classes, preprocessing, the file's inputs and outputs."""
    about = net.preprocess.about
    plain = format == "safetensors"
    inputs: dict[str, Any] = {"dtype": "float32" if plain and about.images else about.dtype}
    inputs["shape"] = ["batch", *about.shape]
    if about.images:
        inputs |= {"mean": about.mean, "std": about.std, "normalisation": "(x - mean) / std, x on the 0..1 scale"}
        inputs["normalised_by"] = "the caller" if plain else "the model"
        if about.shape[0] in (1, 3):
            inputs["resize"] = {key: v for key, v in asdict(net.preprocess.cut).items() if key != "area"}
    else:
        inputs |= {"padding": 0, "tokenizer": TOKENIZER if net.preprocess.tokenizer is not None else None}
    output = "embeddings" if net.embeds else "logits" if plain else "probabilities"
    return {
        "task": net.task,
        "classes": net.classes,
        "network": net.name,
        "chosen": net.chosen,
        "models": [cohort.networks[peer].model for peer in choice.peers],
        "ensemble": choice.ensemble,
        "file": FILES[format],
        "input": inputs,
        "output": output,
        "trained_with": dict(about.versions),
        "exported_with": versions(),
    }


# Formats ------------------------------------------------------------------------------------------------------------


def plain_state(net: Trained) -> dict[str, Tensor]:
    """The network's own state dict; of an ensemble those of its members, ``0.conv.weight``."""
    module = net.network
    members = list(module.members) if isinstance(module, Ensemble) else [module]
    states = [member.get_submodule("network").state_dict() for member in members]
    if not isinstance(module, Ensemble):
        return dict(states[0])
    return {f"{number}.{name}": t for number, state in enumerate(states) for name, t in state.items()}


def _safetensors(net: Trained, path: Path) -> None:
    save_file({name: tensor.clone().contiguous() for name, tensor in plain_state(net).items()}, path)


def _torch(net: Trained, path: Path) -> None:
    program = Program(net).eval()
    try:
        with _quiet():
            exported = torch.export.export(program, (_examples(net, BATCHES[0]),), dynamic_shapes=({0: _batch()},))
            torch.export.save(exported, path)
    except Exception as error:  # whatever in a network torch cannot trace
        raise _refused(net, "torch", error) from error
    loaded = torch.export.load(path).module()
    _check(net, program, loaded, "torch")


def _onnx(net: Trained, path: Path) -> None:
    for module in ("onnx", "onnxscript"):
        needed(module, "export", "ONNX")
    runtime = needed("onnxruntime", "export", "ONNX")
    program = Program(net).eval()
    try:
        with _quiet():
            torch.onnx.export(
                program,
                (_examples(net, BATCHES[0]),),
                path,
                dynamo=True,
                external_data=False,
                verbose=False,
                dynamic_shapes=({0: _batch()},),
                input_names=["input"],
                output_names=["embeddings" if net.embeds else "probabilities"],
            )
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # whatever in a network has no form in ONNX
        raise _refused(net, "onnx", error) from error
    _check(net, program, lambda x: torch.from_numpy(session.run(None, {"input": x.numpy()})[0]), "onnx")


WRITERS: Mapping[str, Callable[[Trained, Path], None]] = {
    "safetensors": _safetensors,
    "onnx": _onnx,
    "torch": _torch,
}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's report of its steps, what it could trace of a program that it refuses, and its notices."""
    notices = logging.getLogger("torch.onnx")
    level = notices.level
    notices.setLevel(logging.ERROR)
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        notices.setLevel(level)


def _batch() -> Any:
    return torch.export.Dim("batch")


def _examples(net: Trained, count: int) -> Tensor:
    """Random raw inputs, the same every time; texts of unlike lengths."""
    about, draw = net.preprocess.about, torch.Generator().manual_seed(count)
    if about.dtype == "float32":
        return torch.rand(count, *about.shape, generator=draw)
    high = 256 if about.images else about.vocabulary or 2
    x = torch.randint(0 if about.images else 1, high, (count, *about.shape), generator=draw, dtype=DTYPES[about.dtype])
    if not about.images:
        lengths = 1 + torch.arange(count) * (about.shape[0] - 1) // max(count - 1, 1)
        x = x.where(torch.arange(about.shape[0]) < lengths.flip(0)[:, None], 0)
    return x


@torch.inference_mode()
def _check(net: Trained, program: nn.Module, exported: Callable[[Tensor], Tensor], format: str) -> None:
    for count in BATCHES:
        x = _examples(net, count)
        expected, given = program(x), exported(x.clone())
        limit = TOLERANCE * (max(float(expected.abs().max()), 1e-6) if net.embeds else 1)
        if given.shape != expected.shape or not bool(((given - expected).abs() <= limit).all()):
            raise NotExportable(
                f"{net.name}: its {format} form answers differently from PyTorch for {count} inputs (by more than "
                f"{limit:.2g}): use --format safetensors"
            )


def _refused(net: Trained, format: str, error: Exception) -> NotExportable:
    ways = "--format safetensors" if format == "torch" else "--format torch or safetensors"
    return NotExportable(f"{net.name} has no {format} form ({said_by(error)}): use {ways}")
