"""Checkpoints: per peer, in safetensors and JSON, so that nothing which is loaded can run code.

They know nothing of stacking or devices: ``peers.3.conv1.weight`` in ``peers.safetensors``, and what an exact
resumption needs besides (optimizer and method state) in ``state.safetensors`` and ``state.json``.
"""

import json
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from codistill.cohort import Cohort
from codistill.cohort.groups import Leaf
from codistill.run import Run

Tensors = dict[str, Tensor]
PATTERN = "step-*"
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
    """Write ``folder/checkpoints/step-N``, whole or not at all, and remove all but the newest ``keep``."""
    home = folder / "checkpoints"
    home.mkdir(parents=True, exist_ok=True)
    final = home / f"step-{checkpoint.facts['step']:08d}"
    draft = home / f".{final.name}.{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    peers = {f"peers.{name}": tensor for name, tensor in checkpoint.peers.items()}
    for name, tensors in (("peers", peers), ("state", checkpoint.state)):
        copies = {key: t.detach().cpu().clone().contiguous() for key, t in tensors.items()}
        save_file(copies, draft / f"{name}.safetensors")
    (draft / "state.json").write_text(json.dumps(checkpoint.facts, indent=2) + "\n", encoding="utf-8")
    if final.exists():
        final.rename(home / f".{final.name}.old")
    draft.rename(final)
    for old in (*sorted(home.glob(PATTERN))[:-keep], *home.glob(f".{PATTERN}")):
        shutil.rmtree(old)  # older ones, and drafts of processes that were killed
    return final


def latest(folder: Path) -> Path | None:
    """The newest checkpoint of a run's folder, if there is one."""
    return max((folder / "checkpoints").glob(PATTERN), default=None)


def load(path: Path) -> Checkpoint:
    """Read one checkpoint.

    Raises:
        BrokenCheckpoint: names the file and says what to do.
    """
    try:
        peers = load_file(path / "peers.safetensors")
        state = load_file(path / "state.safetensors")
        facts = facts_of(path)
        if strange := [name for name in peers if not re.match(r"peers\.\d+\.", name)]:
            raise ValueError(f"peers.safetensors has {strange[0]!r}, which is no peer's")
    except (SafetensorError, ValueError, OSError) as error:
        others = sorted(other.name for other in path.parent.glob(PATTERN) if other != path)
        fix = f"remove {path} to go on from {others[-1]}" if others else f"remove {path} to start again"
        raise BrokenCheckpoint(f"checkpoint {path} cannot be read ({error}): {fix}") from error
    return Checkpoint(under("peers.", peers), state, facts)


def facts_of(path: Path) -> dict[str, Any]:
    """What a checkpoint says of itself, without its tensors.

    Raises:
        ValueError: it does not say which step it is of.
    """
    facts = json.loads((path / "state.json").read_text(encoding="utf-8"))
    if not isinstance(facts, dict) or not isinstance(facts.get("step"), int):
        raise ValueError("state.json has no step")
    return facts


# Peers --------------------------------------------------------------------------------------------------------------


def peers_of(cohort: Cohort) -> Tensors:
    """Every peer's parameters and buffers, ``{peer}.{name}``."""
    return {f"{i}.{name}": t for i in cohort.peers for name, t in cohort.peer_state(i).items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """The tensors whose names begin with a prefix, by the rest of their names."""
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def restore_peers(cohort: Cohort, tensors: Mapping[str, Tensor]) -> None:
    """Put saved peers into a cohort, whatever executes it.

    Raises:
        ValueError: it has other peers or other networks.
    """
    saved = {int(name.partition(".")[0]) for name in tensors}
    if saved != set(cohort.peers):
        raise ValueError(f"the checkpoint has {len(saved)} peers, the cohort {len(cohort)}")
    for i in cohort.peers:
        cohort.load_peer_state(i, under(f"{i}.", tensors))


# Optimizers ---------------------------------------------------------------------------------------------------------


def optimizer_state(optimizer: torch.optim.Optimizer, leaves: Iterable[Leaf]) -> Tensors:
    """``peers.{peer}.{name}.{key}`` -> state, a stacked leaf's in its peers' parts."""
    state: Tensors = {}
    for leaf in leaves:
        for key, value in optimizer.state.get(leaf.tensor, {}).items():
            for row, peer in enumerate(leaf.peers):
                sliced = leaf.stacked and key != "step"  # the one state that is not per element
                # clone: safetensors refuses tensors that share memory
                state[f"peers.{peer}.{leaf.name}.{key}"] = (value[row] if sliced else value).clone()
    return state


def restore_optimizer(optimizer: torch.optim.Optimizer, leaves: Iterable[Leaf], tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimizer_state`."""
    for leaf in leaves:
        each = [under(f"peers.{peer}.{leaf.name}.", tensors) for peer in leaf.peers]
        state = {}
        for key, first in each[0].items():
            value = torch.stack([one[key] for one in each]) if leaf.stacked and key != "step" else first
            state[key] = value if key == "step" else value.to(leaf.tensor.device)
        if state:
            optimizer.state[leaf.tensor] = state


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
    own = method_state(method)
    shapes, saved = ({name: t.shape for name, t in state.items()} for state in (own, tensors))
    if differs := {name for name in own.keys() | tensors.keys() if shapes.get(name) != saved.get(name)}:
        raise ValueError(f"the checkpoint's method state differs in {min(differs)!r}")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


# Runs ---------------------------------------------------------------------------------------------------------------


def write_runs(folder: Path, runs: Iterable[Run]) -> None:
    """``runs.json``: what a folder is about."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps([run.as_dict() for run in runs], indent=1) + "\n"
    (folder / "runs.json").write_text(text, encoding="utf-8")


def read_runs(folder: Path) -> list[Run]:
    """The runs of a folder.

    Raises:
        FileNotFoundError: it is no run's folder.
    """
    path = folder / "runs.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not the folder of a run: {path} is missing")
    return [Run.from_dict(settings) for settings in json.loads(path.read_text(encoding="utf-8"))]
