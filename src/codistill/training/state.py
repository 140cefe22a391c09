"""A fleet on its way: steps, epochs, and checkpoints of any step."""

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from codistill import checkpoint
from codistill.checkpoint import AVERAGE, BrokenCheckpoint, Checkpoint, Tensors
from codistill.cohort.groups import Leaf
from codistill.methods import Terms
from codistill.randomness import seeded
from codistill.run import Run
from codistill.training.edges import Edges, is_measured
from codistill.training.fleet import Fleet, Member
from codistill.training.records import diverged
from codistill.training.results import NetworkResult, results
from codistill.training.step import take


class Stateful(Protocol):
    """What a checkpoint saves the tensors of."""

    def state_dict(self) -> Tensors:
        """Its tensors, by name."""

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `state_dict`."""


class Sums:
    """The sums over an epoch's steps of named values, of every member."""

    def __init__(self, members: int, device: torch.device) -> None:
        self.device, self.count = device, 0
        self.members: list[Terms] = [{} for _ in range(members)]

    def add(self, values: Sequence[Terms]) -> None:
        """One more step."""
        self.count += 1
        for total, new in zip(self.members, values, strict=True):
            for name, value in new.items():
                total[name] = total[name] + value if name in total else value.clone()

    def means(self) -> list[Terms]:
        """Over the steps so far."""
        return [{name: total / self.count for name, total in totals.items()} for totals in self.members]

    def clear(self) -> None:
        """Start a new epoch."""
        self.count, self.members = 0, [{} for _ in self.members]

    def state_dict(self) -> Tensors:
        """``{member}.{name}``"""
        return {f"{number}.{name}": t for number, totals in enumerate(self.members) for name, t in totals.items()}

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `state_dict`."""
        self.members = [{} for _ in self.members]
        for key, tensor in tensors.items():
            number, _, name = key.partition(".")
            self.members[int(number)][name] = tensor.to(self.device)


class MethodOptimizer:
    """The optimizer's state of a method's own parameters, which the first turn's optimizer moves."""

    def __init__(self, optimizer: torch.optim.Optimizer, leaves: Sequence[Leaf]) -> None:
        self.optimizer, self.leaves = optimizer, leaves

    def state_dict(self) -> Tensors:
        """By the parameters' names."""
        return checkpoint.optimizer_state(self.optimizer, self.leaves)

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `state_dict`."""
        checkpoint.restore_optimizer(self.optimizer, self.leaves, tensors)


class Training:
    """A fleet on its way: where it is, and the sums of the epoch so far.

    Args:
        fleet: what is trained.
        folder: where checkpoints go; None: nowhere.
    """

    def __init__(self, fleet: Fleet, folder: Path | None) -> None:
        self.fleet, self.folder = fleet, folder
        self.step, self.seconds = 0, 0.0
        self.terms = Sums(len(fleet.members), fleet.device)
        self.edges = Sums(len(fleet.members), fleet.device)

    # Stepping ------------------------------------------------------------------------------------------------------

    def advance(self) -> list[Terms]:
        """One step."""
        fleet = self.fleet
        epoch, step = divmod(self.step, fleet.steps)
        started = time.perf_counter()
        if step == 0:
            for member in fleet.members:
                member.method.start_epoch(epoch)
        edges: list[Edges] | None = [] if is_measured(step, fleet.steps) else None
        with seeded(fleet.device, fleet.run.seed, "step", self.step):
            terms = take(fleet, epoch, step, edges)
        if fleet.average is not None:
            fleet.average.follow(fleet.cohort, self.step)
        self.terms.add(terms)
        if edges is not None:
            self.edges.add(edges)
        self.step += 1
        self.seconds += time.perf_counter() - started
        return terms

    def finish_epoch(self) -> list[dict[str, Any]]:
        """The epoch's lines, one for each run; the sums begin again.

        Raises:
            Diverged: names the run, the peer and the term.
        """
        valid = self.validate(self.step // self.fleet.steps)
        lines = [
            self._line(member, number, terms, edges, valid)
            for member, terms, edges in zip(self.fleet.members, self._terms(), self.edges.means(), strict=True)
            for number in range(len(member.runs))
        ]
        self.terms.clear()
        self.edges.clear()
        self.seconds = 0.0
        return lines

    def _terms(self) -> list[dict[str, list[float]]]:
        """Of every member, each term's values."""
        return [{name: mean.reshape(-1).tolist() for name, mean in terms.items()} for terms in self.terms.means()]

    def _line(
        self,
        member: Member,
        number: int,
        means: Mapping[str, list[float]],
        edges: Edges,
        valid: list[float] | None,
    ) -> dict[str, Any]:
        """What the log says of one run's epoch."""
        run, block, epoch = member.runs[number], member.block(number), self.step // self.fleet.steps
        terms = {
            name: [values[i] for i in block] if len(values) == len(member.peers) else [values[number]]
            for name, values in means.items()
        }
        _check_finite(run, epoch, terms)
        line = {
            "kind": "epoch",
            "run": run.name,
            "method": str(run.method),
            "update": run.update,
            "peers": run.peers,
            "seed": run.seed,
            "epoch": epoch,
            "step": self.step,
            "progress": self.step / self.fleet.total,
            "learning_rate": self.fleet.learning_rate(self.step - 1),
            "seconds": round(self.seconds, 3),
            "terms": terms,
        }
        line |= {name: mean[number].tolist() for name, mean in edges.items()}
        if valid is not None:
            line["valid_accuracy"] = [valid[member.peers[i]] for i in block]
        return line

    def validate(self, epoch: int) -> list[float] | None:
        """Each peer's validation accuracy, in the epochs that have one."""
        every = self.fleet.run.evaluate_every
        if not every or epoch % every:
            return None
        return [
            row.values["accuracy"]
            for row in results(self.fleet, "valid")
            if isinstance(row, NetworkResult) and row.peer is not None
        ]

    # Saving --------------------------------------------------------------------------------------------------------

    def parts(self) -> list[tuple[str, Stateful]]:
        """What a checkpoint holds besides the peers, and the prefix of its names there."""
        parts: list[tuple[str, Stateful]] = [("optimizer.", turn) for turn in self.fleet.turns]
        for number, member in enumerate(self.fleet.members):
            own = MethodOptimizer(self.fleet.turns[0].optimizer, member.leaves())
            parts += [(f"own.{number}.", own), (f"method.{number}.", member)]
        if self.fleet.average is not None:
            parts.append((AVERAGE, self.fleet.average))
        return [*parts, ("sums.", self.terms), ("watched.", self.edges)]

    def save(self) -> Path:
        """A checkpoint of this very step."""
        assert self.folder is not None
        fleet = self.fleet
        state = {f"{prefix}{name}": t for prefix, part in self.parts() for name, t in part.state_dict().items()}
        facts = {
            "step": self.step,
            "steps": fleet.total,
            "execute": fleet.execute,
            "counted": self.terms.count,
            "looked": self.edges.count,
            "seconds": self.seconds,
            "passes": [fleet.cohort.passes.forward, fleet.cohort.passes.backward],
            "torch": torch.__version__,
        }
        return checkpoint.save(self.folder, Checkpoint(checkpoint.peers_of(fleet.cohort), state, facts))

    def restore(self, saved: Checkpoint) -> None:
        """Go back to where a checkpoint was made.

        Raises:
            BrokenCheckpoint: something is missing in it.
        """
        facts = saved.facts
        if missing := [name for name in ("counted", "looked", "seconds", "passes") if name not in facts]:
            raise BrokenCheckpoint(f"the checkpoint of step {facts['step']} has no {missing[0]!r}: remove it")
        checkpoint.restore_peers(self.fleet.cohort, saved.peers)
        for prefix, part in self.parts():
            part.load_state_dict(checkpoint.under(prefix, saved.state))
        self.step, self.terms.count, self.edges.count = (facts[name] for name in ("step", "counted", "looked"))
        self.seconds = facts["seconds"]
        self.fleet.cohort.passes.forward, self.fleet.cohort.passes.backward = facts["passes"]


def _check_finite(run: Run, epoch: int, terms: Mapping[str, list[float]]) -> None:
    for name, values in terms.items():
        for peer, value in enumerate(values):
            if not math.isfinite(value):
                raise diverged(run, f"the {name} term of peer {peer} is {value} in epoch {epoch}")


def restore_peers(fleet: Fleet, saved: Checkpoint) -> None:
    """The networks, and the averages of their weights."""
    checkpoint.restore_peers(fleet.cohort, saved.peers)
    if fleet.average is not None:
        fleet.average.load_state_dict(saved.delivered)


__all__ = ["Sums", "Training", "restore_peers"]
