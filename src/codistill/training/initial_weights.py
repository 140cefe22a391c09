"""Where networks start: at random, from a file of weights, or from the networks of a run.

``start=FILE`` and ``start=FOLDER[,start_peer=2]`` are options of every model's spec.
"""

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from codistill import checkpoint, models
from codistill.checkpoint import Tensors
from codistill.data.examples import DataSet
from codistill.models.parts.pretrained import adopt
from codistill.spec import Spec, Value

TRAINED = "alone"  # a start, or a teacher: what a comparison has trained alone
PICKLED = (".pt", ".pth", ".bin", ".ckpt")
WITHOUT: dict[str, dict[str, Value]] = {  # the same networks, and nothing is downloaded
    "hf": {"pretrained": False},
    "timm": {"pretrained": False},
    "torchvision": {"weights": None},
}


def network(spec: str | Spec, dataset: DataSet, seed: int | None = None, *, load: bool = True) -> nn.Module:
    """The network for a data set that a spec names, with the weights that it is to start from.

    A head for other classes than the start's stays random, with a `NewHead` warning.

    Args:
        spec: as of `models.build`, and ``start=FILE`` (``.safetensors``, or a state dict that `torch.save` wrote),
            ``start=FOLDER`` (a run, or one of its checkpoints: its first network, or ``start_peer=N``).
        dataset: what it is to predict.
        seed: of what is random.
        load: False where saved weights will take the place of all of these: no start is read, nothing is downloaded.

    Raises:
        FileNotFoundError: the start is not there.
        ValueError: it cannot be read, or it is no such network's.
    """
    spec = Spec.of(spec)
    start, peer = spec.options.get("start"), spec.options.get("start_peer")
    bare = spec.without("start", "start_peer")
    if not load:
        bare = bare.replace(**WITHOUT.get(spec.name.lower(), {}))
    net = models.build(bare, dataset.classes, tuple(dataset.train.x.shape[1:]), seed, dataset.known)
    if start is None and peer is not None:
        raise ValueError(f"model '{spec}': start_peer={peer} goes with start=FOLDER: give that too, or leave it out")
    if load and start is not None:
        adopt(f"start={start}", net, weights_of(Path(str(start)), peer), dataset.classes)
    return net


def untrained(spec: Spec) -> Spec:
    """A network's spec without ``start=alone``: in a comparison, the weights that it got when it was trained alone."""
    return spec.without("start") if spec.options.get("start") == TRAINED else spec


def saved(folder: Path) -> tuple[Path, list[Tensors]]:
    """The folder of a run, and its networks: each one's parameters and buffers by name.

    Args:
        folder: a run's, to have its newest checkpoint; or one of its checkpoints.

    Raises:
        FileNotFoundError: it is no such folder.
        ValueError: there is no checkpoint in it yet, or it is broken.
    """
    newest: Path | None = folder
    home = folder.parent.parent
    if not (folder / "peers.safetensors").is_file():
        if (folder / "study.json").is_file():
            raise ValueError(f"{folder} is a comparison: give one of its runs, {folder / 'parts'}/NNN")
        checkpoint.read_runs(folder)
        newest, home = checkpoint.latest(folder), folder
    if newest is None:
        raise ValueError(f"{folder} has no checkpoint: give the folder of a finished run")
    delivered = checkpoint.load(newest).delivered
    count = len({name.partition(".")[0] for name in delivered})
    return home, [checkpoint.under(f"{number}.", delivered) for number in range(count)]


def weights_of(path: Path, peer: Value = None) -> Mapping[str, Tensor]:
    """The weights that a start names.

    Args:
        path: a file of weights, or a run's folder.
        peer: which network of the folder; None is the first one.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is something else, or holds more than tensors.
    """
    path = path.parent if path.name == "peers.safetensors" else path
    if path.is_dir():
        _, peers = saved(path)
        number = 0 if peer is None else peer
        if number not in range(len(peers)) or isinstance(number, bool):
            raise ValueError(f"start_peer={number}: {path} has the networks 0 to {len(peers) - 1}")
        return peers[int(number)]
    if peer is not None:
        raise ValueError(f"start_peer={peer}: {path} is no run's folder, where networks are numbered: leave it out")
    if not path.is_file():
        raise FileNotFoundError(f"start={path} is not there: give a file of weights, or the folder of a run")
    if path.suffix not in (".safetensors", *PICKLED):
        raise ValueError(f"start={path}: give a file that ends in .safetensors or {', '.join(PICKLED)}")
    try:
        weights: Mapping[str, Tensor] = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except (SafetensorError, RuntimeError, EOFError) as error:
        raise ValueError(f"start={path} cannot be read ({str(error).partition(chr(10))[0]}): save it again") from error
    return weights


def _unpickled(path: Path) -> Mapping[str, Tensor]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ValueError(
            f"start={path} holds more than tensors, which could run code, or is damaged: "
            "save net.state_dict() alone, as .safetensors"
        ) from error
    for key in ("state_dict", "model"):  # as training programs save it
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not found or not all(isinstance(t, Tensor) for t in found.values()):
        raise ValueError(f"start={path} is no state dict: save net.state_dict()")
    whole = all(name.startswith("module.") for name in found)  # saved from torch's DataParallel
    return {name.removeprefix("module.") if whole else name: tensor for name, tensor in found.items()}
