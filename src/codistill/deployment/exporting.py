"""Export a trained network, or an ensemble, for programs that know nothing of this package."""

import logging
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from codistill.checks import one_of
from codistill.deployment.card import card_of
from codistill.deployment.choice import choose
from codistill.deployment.config import config_of, write_configs
from codistill.deployment.exported import WEIGHTS, read_config
from codistill.deployment.opening import built, opened
from codistill.deployment.trained import Ensemble, Trained
from codistill.description import DTYPES
from codistill.devices import device_named
from codistill.libraries import needed, said_by

Format = Literal["safetensors", "onnx", "torch"]
FILES = {"safetensors": WEIGHTS, "onnx": "model.onnx", "torch": "model.pt2"}
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
    device: str = "cpu",
) -> Path:
    """Write a trained network, its ``config.json`` and a model card into a new folder, which is complete in itself.

    - ``safetensors``: ``model.safetensors``, the network's plain state dict (of an ensemble ``0.conv.weight``,
      ``1.conv.weight``); preprocessing is described in the config. `load` opens the folder, and transformers one of a
      network of its own.
    - ``onnx``: ``model.onnx``, checked against PyTorch in onnxruntime; any batch size, images as they were in training
      before normalisation, which is inside (bytes ``[N, C, H, W]``, or floats on 0..1: see the config), or token ids;
      gives probabilities, of retrieval data embeddings.
    - ``torch``: ``model.pt2``, the same as a program of `torch.export`.

    Args:
        run: as of `load`, as are all but ``folder`` and ``format``.
        folder: a new one.
        format: of the file.
        device: of a program of `torch.export`, which is bound to one; the other formats know none.

    Returns: the file with the network.

    Raises:
        FileExistsError: the folder holds something.
        NotExportable: the format cannot hold this network.
        ImportError: onnx is not installed.
    """
    one_of("format", format, get_args(Format))
    if format != "torch" and device not in ("auto", "cpu"):
        raise ValueError(f"device={device!r}: only --format torch is bound to a device: leave it out for {format}")
    place = device_named(device if format == "torch" else "cpu")
    folder = Path(folder)
    _check_folders(folder, Path(run))
    cohort = opened(Path(run), row, seed)
    choice = choose(cohort.folder, cohort.networks, cohort.run, network)
    net = built(cohort, choice, networks, trust=trust).to(place)
    draft = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        WRITERS[format](net, draft / FILES[format])
        config = config_of(net, cohort, choice, FILES[format])
        write_configs(draft, net, cohort, choice, config)
        (draft / "README.md").write_text(card_of(net, cohort, choice, config), encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder / FILES[format]


def _check_folders(new: Path, run: Path) -> None:
    """A new folder, of a run that is no export."""
    if new.exists() and (not new.is_dir() or any(new.iterdir())):
        raise FileExistsError(f"{new} already exists: choose another folder")
    if read_config(run) is not None:
        raise ValueError(f"{run} is an export already: give the folder of the run that it is from")


# Formats ------------------------------------------------------------------------------------------------------------


def plain_state(net: Trained) -> dict[str, Tensor]:
    """The network's own state dict; of an ensemble those of its members, ``0.conv.weight``."""
    states = [member.state_dict() for member in net.members]
    if not isinstance(net.network, Ensemble):
        return dict(states[0])
    return {f"{number}.{name}": t for number, state in enumerate(states) for name, t in state.items()}


def _safetensors(net: Trained, path: Path) -> None:
    tensors = {name: tensor.clone().contiguous() for name, tensor in plain_state(net).items()}
    save_file(tensors, path, metadata={"format": "pt"})  # which transformers asks for


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
    """Random raw inputs on the network's device, the same every time; texts of unlike lengths."""
    about, draw = net.preprocess.about, torch.Generator().manual_seed(count)
    if about.dtype == "float32":
        return torch.rand(count, *about.shape, generator=draw).to(net.device)
    high = 256 if about.images else about.vocabulary or 2
    x = torch.randint(0 if about.images else 1, high, (count, *about.shape), generator=draw, dtype=DTYPES[about.dtype])
    if not about.images:
        lengths = 1 + torch.arange(count) * (about.shape[0] - 1) // max(count - 1, 1)
        x = x.where(torch.arange(about.shape[0]) < lengths.flip(0)[:, None], 0)
    return x.to(net.device)


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
