"""A folder that `export` made: the same networks without their run."""

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from codistill import files
from codistill.checkpoint import Tensors
from codistill.deployment.choice import BEST, ENSEMBLE, Choice

CONFIG, WEIGHTS = "config.json", "model.safetensors"
RUNS = "runs.json"  # of a run's folder, which is no export


def read_config(folder: Path) -> Any:
    """The config of an export; None: the folder is none.

    Raises:
        ValueError: it is damaged.
    """
    path = folder / CONFIG
    if not path.is_file() or (folder / RUNS).exists():
        return None
    config = files.read_json(path)
    if "exported_with" not in config:
        return None
    if lacking := {"file", "ensemble", "models", "network", "chosen"} - config.keys():
        raise ValueError(f"{path} is damaged ({min(lacking)} is missing): export again")
    return config


def check_is_no_program(folder: Path) -> None:
    """A ValueError for an export to ONNX or of `torch.export`, which other programs open."""
    config = read_config(folder)
    if config is not None and config["file"] != WEIGHTS:
        raise ValueError(
            f"{folder} holds a program, {config['file']}: its README.md says how to use it; to open the network here, "
            "give the run's folder, or an export with --format safetensors"
        )


def exported_choice(folder: Path, wanted: int | str) -> Choice | None:
    """What an export holds, where that is asked for; None: another network, or no export."""
    config = read_config(folder)
    if config is None or wanted not in (BEST, ENSEMBLE if config["ensemble"] else BEST):
        return None
    peers = tuple(range(len(config["models"])))
    return Choice(peers, config["network"], config["chosen"], ensemble=config["ensemble"])


def exported_weights(folder: Path) -> tuple[Tensors, str] | None:
    """The weights of an export, as a checkpoint has them; None: it is no export.

    Raises:
        ValueError: the file is damaged.
    """
    config = read_config(folder)
    if config is None:
        return None
    path = folder / WEIGHTS
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}): export again") from error
    return tensors if config["ensemble"] else {f"0.{name}": tensor for name, tensor in tensors.items()}, ""
