"""Checkpoints: per peer, in safetensors and JSON, so that nothing which is loaded can run code.

They know nothing of stacking or devices: ``peers.3.conv1.weight`` in ``peers.safetensors``, and what an exact
resumption needs besides (optimizer and method state) in ``state.safetensors`` and ``state.json``.
"""

import hashlib
import os
import re
import shutil
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_of, save_file
from torch import Tensor, nn

from codistill import files
from codistill.cohort import Cohort
from codistill.cohort.groups import Leaf
from codistill.run import Run

Tensors = dict[str, Tensor]
STEP = re.compile(r"step-(\d{8,})")
PATTERN = "step-*"
TENSORS = ("peers", "state")  # a file each
# What `Training` says of itself in state.json, with the types that it may have.
FACTS: Mapping[str, type | tuple[type, ...]] = {
    "step": int,
    "steps": int,
    "counted": int,
    "looked": int,
    "seconds": (int, float),
    "execute": str,
    "passes": list,
}
LATER: Mapping[str, type] = {  # which older ones do not have
    "passed_over": list,
    "rewinds": int,
    "diverged": dict,
    "task": dict,
}
AVERAGE = "average."  # in the state, what the averages of the weights begin with
BEST = "best."  # and the state of the best weights so far


class BrokenCheckpoint(ValueError):
    """A file of a checkpoint is missing, cut short or not what it should be."""


@dataclass(frozen=True)
class Checkpoint:
    """What is saved.

    Attributes:
        peers: ``{peer}.{name}`` -> parameter or buffer.
        state: optimizer, method and running sums, by name.
        facts: step, executor and what else is not a tensor.
    """

    peers: Tensors
    state: Tensors
    facts: dict[str, Any]

    @property
    def delivered(self) -> Tensors:
        """The networks that are evaluated: the best ones or averages where there are any, else the peers."""
        return under(f"{BEST}peers.", self.state) or under(AVERAGE, self.state) or self.peers


def save(folder: Path, checkpoint: Checkpoint, keep: int = 2) -> Path:
    """Write ``folder/checkpoints/step-N``, whole or not at all.

    All but the newest ``keep`` up to this one are removed, and those of later steps, which were passed over.

    Raises:
        OSError: it cannot be written; the others are as they were.
    """
    home = folder / "checkpoints"
    if home.is_symlink():
        raise OSError(f"{home} is a symbolic link, through which nothing is written: put a folder in its place")
    home.mkdir(parents=True, exist_ok=True)
    final = home / f"step-{checkpoint.facts['step']:08d}"
    beside = home / f".{final.name}.{os.getpid()}"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        _write(beside, checkpoint)
        if final.exists():
            final.rename(home / f".{final.name}.old")
        beside.rename(final)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    files.flush(home)
    _remove_others(final, keep)
    return final


def _write(folder: Path, checkpoint: Checkpoint) -> None:
    """The three files; the facts hold the hashes of the others."""
    peers = {f"peers.{name}": tensor for name, tensor in checkpoint.peers.items()}
    hashes = {}
    for name, tensors in zip(TENSORS, (peers, checkpoint.state), strict=True):
        copies = {key: t.detach().cpu().clone().contiguous() for key, t in tensors.items()}
        path = folder / f"{name}.safetensors"
        with files.draft(path) as draft:
            try:
                save_file(copies, draft)
            except SafetensorError as error:  # what the system says is in its text
                raise OSError(f"{path} cannot be written ({error})") from error
        hashes[path.name] = files.sha256(path)
    files.write_json(folder / "state.json", {**checkpoint.facts, "sha256": hashes})


def _remove_others(final: Path, keep: int) -> None:
    """All but the newest up to one, and what killed processes have left."""
    step = step_of(final)
    named = sorted((p for p in final.parent.glob(PATTERN) if STEP.fullmatch(p.name)), key=step_of)
    older = [path for path in named if step_of(path) <= step]
    for path in (*older[:-keep], *(path for path in named if step_of(path) > step), *final.parent.glob(f".{PATTERN}")):
        shutil.rmtree(path)


def all_of(folder: Path) -> list[Path]:
    """The checkpoints of a run's folder, from old to new."""
    home = folder / "checkpoints"
    named = {path.name: path for path in home.glob(PATTERN) if STEP.fullmatch(path.name)}
    for path in home.glob(f".{PATTERN}.old"):  # the process ended while another was to take its place
        named.setdefault(path.name[1:].removesuffix(".old"), path)
    return sorted(named.values(), key=step_of)


def step_of(path: Path) -> int:
    """The step of a checkpoint, by the name of its folder."""
    found = STEP.search(path.name)
    return int(found[1]) if found else -1


def latest(folder: Path) -> Path | None:
    """The newest checkpoint of a run's folder, if there is one."""
    return next(reversed(all_of(folder)), None)


def newest_whole(folder: Path) -> tuple[Path, Checkpoint] | None:
    """The newest checkpoint that can be read, and where it is; a warning names those that are passed over.

    Raises:
        BrokenCheckpoint: there are some, and none can be read.
    """
    broken = None
    for path in reversed(all_of(folder)):
        try:
            found = path, load(path)
        except BrokenCheckpoint as error:
            if broken:
                warnings.warn(f"{broken}: passed over", stacklevel=2)
            broken = error
            continue
        if broken:
            warnings.warn(f"{broken}: passed over for {path.name}", stacklevel=2)
        return found
    if broken:
        raise BrokenCheckpoint(f"{broken}: remove {folder / 'checkpoints'} to start again")
    return None


def load(path: Path) -> Checkpoint:
    """Read one checkpoint; nothing stays open or mapped.

    Raises:
        BrokenCheckpoint: names the file.
        OSError: it cannot be read, which says nothing of what is in it.
    """
    try:
        facts = facts_of(path)
        hashes = facts.pop("sha256", None)
        peers, state = (_tensors(path / f"{name}.safetensors", hashes) for name in TENSORS)
        if strange := [name for name in peers if not re.match(r"peers\.\d+\.", name)]:
            raise ValueError(f"peers.safetensors has {strange[0]!r}, which is no peer's")
    except (SafetensorError, ValueError, FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise BrokenCheckpoint(f"checkpoint {path} cannot be read ({error})") from error
    if hashes is None:
        warnings.warn(
            f"checkpoint {path} is of an earlier version and has no checksums: damage is not seen", stacklevel=2
        )
    return Checkpoint(under("peers.", peers), state, facts)


def _tensors(path: Path, hashes: Mapping[str, str] | None) -> Tensors:
    """The tensors of a file, copied into memory."""
    content = files.read_bytes(path)
    if hashes is not None and hashlib.sha256(content).hexdigest() != hashes.get(path.name):
        raise ValueError(f"{path.name} is damaged: its SHA-256 is not that in state.json")
    found: Tensors = tensors_of(content)
    return found


def facts_of(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself, without its tensors.

    Raises:
        ValueError: it does not say which step it is of, or something that cannot be.
    """
    facts: dict[str, Any] = files.read_json(path / "state.json", must="sha256")
    if "step" not in facts:
        raise ValueError("state.json has no step")
    for name, kind in {**FACTS, **LATER}.items():
        if name in facts and (not isinstance(facts[name], kind) or isinstance(facts[name], bool)):
            raise ValueError(f"state.json: {name}={facts[name]!r} is a {type(facts[name]).__name__}")
    step, steps = facts["step"], facts.get("steps", facts["step"])
    if step != step_of(path) or not 0 <= step <= steps:
        raise ValueError(f"state.json: step={step!r} of {steps!r}, in the folder of step {step_of(path)}")
    hashes = facts.get("sha256")
    if hashes is not None and not (isinstance(hashes, dict) and all(isinstance(h, str) for h in hashes.values())):
        raise ValueError("state.json: sha256 holds no hashes")
    if "passes" in facts and [type(number) for number in facts["passes"]] != [int, int]:
        raise ValueError(f"state.json: passes={facts['passes']!r} are no two numbers")
    return facts


# Peers --------------------------------------------------------------------------------------------------------------


def peers_of(cohort: Cohort) -> Tensors:
    """The parameters and buffers of every peer that is held here, ``{peer}.{name}``."""
    return {f"{i}.{name}": t for i in cohort.held for name, t in cohort.peer_state(i).items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """The tensors whose names begin with a prefix, by the rest of their names."""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def restore_peers(cohort: Cohort, tensors: Mapping[str, Tensor]) -> None:
    """Put saved peers into a cohort, whatever executes it.

    Raises:
        ValueError: it has other peers or other networks.
    """
    saved = {int(name.partition(".")[0]) for name in tensors}
    if not set(cohort.held) <= saved <= set(cohort.peers):
        raise ValueError(f"the checkpoint has {len(saved)} peers, the cohort {len(cohort)}")
    for i in cohort.held:
        loaded, own = under(f"{i}.", tensors), cohort.peer_state(i)
        for name in loaded.keys() & own.keys():
            if loaded[name].dtype != own[name].dtype:
                raise ValueError(f"peer {i}: {name} is {loaded[name].dtype}, the network's {own[name].dtype}")
        cohort.load_peer_state(i, loaded)


# Optimizers ---------------------------------------------------------------------------------------------------------


def optimizer_state(optimizer: torch.optim.Optimizer, leaves: Iterable[Leaf]) -> Tensors:
    """``peers.{peer}.{name}.{key}`` -> state, a stacked leaf's in its peers' parts."""
    state: Tensors = {}
    for leaf in leaves:
        for key, value in optimizer.state.get(leaf.tensor, {}).items():
            whole = value if key == "step" else leaf.gathered(value)
            for row, peer in enumerate(leaf.peers):
                sliced = leaf.stacked and key != "step"  # the one state that is not per element
                # clone: safetensors refuses tensors that share memory
                state[f"peers.{peer}.{leaf.name}.{key}"] = (value[row] if sliced else whole).clone()
    return state


def restore_optimizer(optimizer: torch.optim.Optimizer, leaves: Iterable[Leaf], tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimizer_state`.

    Raises:
        ValueError: the state of some is missing or of another shape.
    """
    for leaf in leaves:
        each = [under(f"peers.{peer}.{leaf.name}.", tensors) for peer in leaf.peers]
        _check_moments(leaf, each)
        state = {}
        for key, first in each[0].items():
            value = torch.stack([one[key] for one in each]) if leaf.stacked and key != "step" else first
            state[key] = value if key == "step" else leaf.part(value).to(leaf.tensor.device, copy=True)
        if state:
            optimizer.state[leaf.tensor] = state
        else:
            optimizer.state.pop(leaf.tensor, None)


def _check_moments(leaf: Leaf, each: Sequence[Tensors]) -> None:
    """The optimizer's state of a leaf, of each of its peers: the same kinds for all, each as large as the weights."""
    shape = leaf.shape[1:] if leaf.stacked else leaf.shape
    for peer, moments in zip(leaf.peers, each, strict=True):
        if moments.keys() != each[0].keys():
            raise ValueError(f"the optimizer's state of peer {peer}, {leaf.name}, is lost in part")
        for key, value in moments.items():
            if key != "step" and (value.shape != shape or value.dtype != leaf.tensor.dtype):
                raise ValueError(f"the optimizer's {key} of peer {peer}, {leaf.name}, is not like its weights")


def check_remembered(optimizer: torch.optim.Optimizer, leaves: Sequence[Leaf]) -> None:
    """What must hold once a step has been taken: an optimizer with moments has some.

    Raises:
        ValueError: it has none of any leaf.
    """
    has_moments = optimizer.defaults.get("momentum", True)  # Adam always has
    if has_moments and leaves and not any(optimizer.state.get(leaf.tensor) for leaf in leaves):
        raise ValueError("the optimizer's state is lost")


# Methods ------------------------------------------------------------------------------------------------------------


def method_state(method: nn.Module) -> Tensors:
    """A method's parameters and moving state, peers' copies per peer; what is frozen for good comes from elsewhere."""
    cohorts = {name: m for name, m in method.named_modules() if isinstance(m, Cohort)}
    inside = tuple(f"{name}." for name in cohorts) or ("\0",)
    state = {name: t for name, t in method.state_dict().items() if not name.startswith(inside)}
    for name, cohort in cohorts.items():
        if cohort.moving:
            state |= {f"{name}.peers.{key}": t for key, t in peers_of(cohort).items()}
    return state


def restore_method(method: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `method_state`."""
    own, absent = method_state(method), _absent(method)
    tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(absent)}
    shapes, saved = ({name: t.shape for name, t in state.items()} for state in (own, tensors))
    if differs := {name for name in own.keys() | tensors.keys() if shapes.get(name) != saved.get(name)}:
        raise ValueError(f"the checkpoint's method state differs in {min(differs)!r}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def _absent(method: nn.Module) -> tuple[str, ...]:
    """What the names of the peers begin with whose copies are in other processes."""
    cohorts = [(name, m) for name, m in method.named_modules() if isinstance(m, Cohort)]
    return tuple(f"{name}.peers.{peer}." for name, m in cohorts for peer in m.peers if peer not in m.held)


# Runs ---------------------------------------------------------------------------------------------------------------


def write_runs(folder: Path, runs: Iterable[Run]) -> None:
    """``runs.json``: what a folder is about."""
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / "runs.json", [run.as_dict() for run in runs])


def read_runs(folder: Path) -> list[Run]:
    """The runs of a folder.

    Raises:
        FileNotFoundError: it is no run's folder.
        ValueError: its ``runs.json`` is damaged, or holds what no run can be.
    """
    path = folder / "runs.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not the folder of a run: {path} is missing")
    settings = files.read_json(path, list)
    if not settings or not all(isinstance(each, dict) for each in settings):
        raise files.Damaged(f"{path} is damaged: it is no list of runs")
    try:
        return [Run.from_dict(each) for each in settings]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
