"""Where networks start: at random, from a file of weights, or from the networks of a run; and frozen teachers.

``start=FILE`` and ``start=FOLDER[,start_peer=2]`` are options of every model's spec. A teacher is the networks of a
finished run, of one of its checkpoints, or any module of your own.
"""

import struct
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from pickle import UnpicklingError
from types import MappingProxyType

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from codistill import checkpoint, files, models
from codistill.checkpoint import Tensors
from codistill.cohort import Cohort
from codistill.data.examples import DataSet
from codistill.models.parts.pretrained import adopt
from codistill.models.parts.trial import try_out
from codistill.models.parts.view import MASK
from codistill.randomness import seeded
from codistill.run import Run
from codistill.spec import Spec, Value, WrongKind
from codistill.training.fleet import peers_by_run
from codistill.training.given import Factories

NO_FACTORIES: Factories = MappingProxyType({})
TRAINED = "alone"  # a start, or a teacher: what a comparison has trained alone
PICKLED = (".pt", ".pth", ".bin", ".ckpt")


def network(
    spec: str | Spec,
    dataset: DataSet,
    seed: int | None = None,
    *,
    load: bool = True,
    factories: Factories = NO_FACTORIES,
) -> nn.Module:
    """The network for a data set that a spec names, with the weights that it is to start from.

    A head for other classes than the start's stays random, with a `NewHead` warning.

    Args:
        spec: as of `models.build`, and ``start=FILE`` (``.safetensors``, or a state dict that `torch.save` wrote),
            ``start=FOLDER`` (a run, or one of its checkpoints: its first network, or ``start_peer=N``).
        dataset: what it is to predict.
        seed: of what is random.
        load: False where saved weights will take the place of all of these: no start is read, nothing is downloaded.
        factories: build what some specs name.

    Raises:
        FileNotFoundError: the start is not there.
        ValueError: it cannot be read, or it is no such network's.
    """
    spec = Spec.of(spec)
    start, peer = spec.options.get("start"), spec.options.get("start_peer")
    shape = tuple(dataset.train.x.shape[1:])
    if (bare := spec.without("start", "start_peer")) in factories:
        return _made(bare, factories, seed)
    if not load:
        return models.architecture(spec, dataset.classes, shape, dataset.known, trust=True)
    net = models.build(bare, dataset.classes, shape, seed, dataset.known)
    if start is None and peer is not None:
        raise ValueError(f"model '{spec}': start_peer={peer} goes with start=FOLDER: give that too, or leave it out")
    if start is not None:
        weights = weights_of(Path(str(start)), peer)
        others = {name: tensor for name, tensor in weights.items() if name != MASK}  # its view is the network's own
        adopt(f"start={start}", net, others, dataset.classes)
    return net


def _made(spec: Spec, factories: Factories, seed: int | None) -> nn.Module:
    with nullcontext() if seed is None else seeded(torch.device("cpu"), seed):
        net = factories[spec]()
    if not isinstance(net, nn.Module):
        raise WrongKind(f"networks: {spec.args[0]} returned a {type(net).__name__}: return a torch.nn.Module")
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
    home = folder.parent.parent
    if not (folder / "peers.safetensors").is_file():
        if (folder / "study.json").is_file():
            raise ValueError(f"{folder} is a comparison: give one of its runs, {folder / 'parts'}/NNN")
        checkpoint.read_runs(folder)
        home, found = folder, checkpoint.newest_whole(folder)
        if found is None:
            raise ValueError(f"{folder} has no checkpoint: give the folder of a finished run")
        delivered = found[1].delivered
    else:
        delivered = checkpoint.load(folder).delivered
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
    except (SafetensorError, RuntimeError, EOFError, MemoryError) as error:
        raise ValueError(f"start={path} cannot be read ({str(error).partition(chr(10))[0]}): save it again") from error
    return weights


# What a damaged pickle ends in besides errors of its own and of the file.
LOADING = (struct.error, LookupError, AttributeError, TypeError, AssertionError)


def _unpickled(path: Path) -> Mapping[str, Tensor]:
    _check_announced(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise ValueError(
            f"start={path} holds more than tensors, which could run code, or is damaged: "
            "save net.state_dict() alone, as .safetensors"
        ) from error
    except LOADING as error:
        raise ValueError(f"start={path} is damaged ({type(error).__name__}: {error}): save it again") from error
    for key in ("state_dict", "model"):  # as training programs save it
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not found or not all(isinstance(t, Tensor) for t in found.values()):
        raise ValueError(f"start={path} is no state dict: save net.state_dict()")
    whole = all(name.startswith("module.") for name in found)  # saved from torch's DataParallel
    return {name.removeprefix("module.") if whole else name: tensor for name, tensor in found.items()}


def _check_announced(path: Path) -> None:
    """Refuse, before it is loaded, a pickle that asks for more memory than the file has bytes.

    Tensors are stored as they are, so packed ones are none of `torch.save`; ``bytearray(4_000_000_000)`` is allowed to
    a pickle of tensors and is part of no network.

    Raises:
        ValueError: it does.
    """
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as file:
            announced = sum(member.file_size for member in file.infolist())
            pickles = [m for m in file.infolist() if m.filename.endswith("data.pkl")] if announced <= size else []
            content = b"".join(file.read(member) for member in pickles)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):  # the form before, or damaged
        announced, content = size, files.read_bytes(path)
    if announced > size or b"bytearray" in content:
        asked = f"{announced:,} bytes" if announced > size else "memory for more than tensors"
        raise ValueError(
            f"start={path} asks for {asked}, and has {size:,}: save net.state_dict() alone, as .safetensors"
        )


def networks_of(
    teacher: str, folder: Path, run: Run, dataset: DataSet, factories: Factories = NO_FACTORIES
) -> list[nn.Module]:
    """A teacher's networks, for a student's run.

    Args:
        teacher: what the run calls it: a folder, or ``module:function`` of your own, which returns a trained network;
            in a comparison ``alone``, or the spec of a network that is there trained alone.
        folder: the folder that this name means.
        run: the student's.
        dataset: the student's.
        factories: as of `network`.

    Raises:
        ValueError: there is no such teacher, or it has other classes.
    """
    if ":" in teacher and not folder.exists():
        nets = [network(teacher, dataset)]
    else:
        nets = teacher_networks(folder, run, dataset, None if folder == Path(teacher) else teacher, factories)
    x = dataset.train.x[:2]
    x = x.float() if x.dtype == torch.uint8 else x
    if dataset.task == "classes":
        for net in nets:
            try_out(f"teacher={teacher!r}", net, x)
        with torch.no_grad():
            given = Cohort(nets).freeze()(x).logits.shape[-1]
        if given != dataset.classes:
            raise ValueError(f"teacher={teacher!r} gives {given} classes, data='{run.data}' has {dataset.classes}")
    return nets


def teacher_networks(
    folder: Path, run: Run, dataset: DataSet, name: str | None = None, factories: Factories = NO_FACTORIES
) -> list[nn.Module]:
    """The networks of a finished run, for a student's run: of the same seed where the folder has several.

    Args:
        folder: of the finished run, or of one of its checkpoints.
        run: the student's.
        dataset: the student's.
        name: a network's spec, to have the first such network alone; anything else: all networks, if there are several
            runs those of the student's kind.
        factories: as of `network`.

    Raises:
        ValueError: no such run, or a teacher of other classes.
    """
    try:
        home, peers = saved(folder)
        runs = checkpoint.read_runs(home)
    except (FileNotFoundError, ValueError) as error:
        raise ValueError(f"teacher={str(folder)!r}: {error}") from None
    alone = [r for r in runs if r.method.name == TRAINED and r.seed == run.seed]
    named = None if name is None else Spec.of(name)
    kind = named if any(named in r.networks() for r in alone) else run.networks()[0]
    alone.sort(key=lambda r: (kind not in r.networks(), len(str(r.method))))
    chosen = runs[0] if len(runs) == 1 else next(iter(alone), None)
    if chosen is None:
        raise ValueError(
            f"teacher={str(folder)!r} has no run of method 'alone' and seed {run.seed}: "
            "give the folder of a finished run"
        )
    specs = chosen.networks()
    numbers = [specs.index(named)] if named in specs else list(range(len(specs)))
    nets = [network(specs[i], dataset, load=False, factories=factories) for i in numbers]
    try:
        cohort = Cohort(nets)
        for net, number in enumerate(numbers):
            cohort.load_peer_state(net, peers[peers_by_run(runs)[chosen][number]])
    except ValueError as error:
        raise ValueError(f"teacher={str(folder)!r} does not fit data='{run.data}': {error}") from None
    return nets
