"""A fleet on its way: steps, epochs, and checkpoints of any step."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from codistill import checkpoint
from codistill.checkpoint import AVERAGE, BEST, BrokenCheckpoint, Checkpoint, Tensors, under
from codistill.cohort.groups import Leaf
from codistill.methods import Terms
from codistill.randomness import seeded
from codistill.run import Run
from codistill.training.edges import Edges, is_measured
from codistill.training.evaluate import predictions
from codistill.training.fleet import Fleet, Member
from codistill.training.records import diverged
from codistill.training.results import measure_networks
from codistill.training.step import take
from codistill.training.streams import training_seed

OTHER_STATE = (
    "{folder}: its checkpoint holds the networks, but not what their methods need to go on ({error}). Versions before "
    "this one kept the seeds of a method whose peers meet as one cohort (kdcl, okddip, pcl ...) together. The networks "
    "are whole: codistill evaluate {folder} measures them; or train again into another folder"
)
Part = tuple[str, Callable[[], Tensors], Callable[[Tensors], None]]  # prefix of its names; what saves it, restores it


class Sums:
    """The sums over an epoch's steps of named values, of every member."""

    def __init__(self, members: int, device: torch.device) -> None:
        self.members, self.device = members, device
        self.clear()

    def clear(self) -> None:
        """Start a new epoch."""
        self.count = 0
        self.totals: Tensors = {}  # {member}.{name}

    def add(self, values: Sequence[Terms]) -> None:
        """One more step."""
        self.count += 1
        for key, value in ((f"{number}.{name}", v) for number, new in enumerate(values) for name, v in new.items()):
            self.totals[key] = self.totals[key] + value if key in self.totals else value.clone()

    def means(self) -> list[Terms]:
        """Over the steps so far."""
        means = {key: total / self.count for key, total in self.totals.items()}
        return [under(f"{number}.", means) for number in range(self.members)]

    def restore(self, totals: Tensors) -> None:
        """Go back to saved totals."""
        self.totals = {key: total.to(self.device) for key, total in totals.items()}


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
        with seeded(fleet.device, training_seed(fleet.run), "step", self.step):
            terms = take(fleet, epoch, step, edges)
        if fleet.average is not None:
            fleet.average.follow(fleet.cohort, min(fleet.run.average, (1 + self.step) / (10 + self.step)))
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
        valid, lines = self.validate(self.fleet.epochs_after(self.step)), []
        for member, means, edges in zip(self.fleet.members, self.terms.means(), self.edges.means(), strict=True):
            terms = {name: mean.reshape(-1).tolist() for name, mean in means.items()}
            for number in range(len(member.runs)):
                line = self._line(member, number, terms)
                line |= {name: mean[number].tolist() for name, mean in edges.items()}
                if valid is not None:
                    line["valid_accuracy"] = [valid[member.peers[i]] for i in member.block(number)]
                lines.append(line)
        self.terms.clear()
        self.edges.clear()
        self.seconds = 0.0
        return lines

    def _line(self, member: Member, number: int, means: Mapping[str, list[float]]) -> dict[str, Any]:
        """What the log says of one run's epoch, but for what was measured besides the terms."""
        run, block, epoch = member.runs[number], member.block(number), self.fleet.epochs_after(self.step)
        terms = {
            name: [values[i] for i in block] if len(values) == len(member.peers) else [values[number]]
            for name, values in means.items()
        }
        _check_finite(run, epoch, terms)
        return {
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

    def validate(self, epoch: int) -> list[float] | None:
        """Each peer's validation accuracy, in the epochs that have one; `Best` takes over what is better.

        Where the best weights are kept, the last epoch always has one.
        """
        fleet, every = self.fleet, self.fleet.run.evaluate_every
        is_last = fleet.best is not None and self.step == fleet.total
        if not every or (epoch % every and not is_last):
            return None
        accuracy = [
            values["accuracy"]
            for _, logits, labels in predictions(fleet, "valid", fleet.current)
            for values in measure_networks(logits, labels, fleet.dataset.task)
        ]
        if fleet.best is not None:
            fleet.best.update(fleet.current, accuracy)
        return accuracy

    # Saving --------------------------------------------------------------------------------------------------------

    def parts(self) -> Iterator[Part]:
        """What a checkpoint holds besides the peers."""
        fleet, moments = self.fleet, (checkpoint.optimizer_state, checkpoint.restore_optimizer)
        for turn in fleet.turns:
            yield _part("optimizer.", *moments, turn.optimizer, turn.leaves)
        for number, member in enumerate(fleet.members):
            trained = [(name, p) for name, p in member.method.named_parameters() if p.requires_grad]
            leaves = [Leaf((0,), name, p, stacked=False) for name, p in trained]
            yield _part(f"own.{number}.", *moments, fleet.turns[0].optimizer, leaves)
            yield _part(f"method.{number}.", checkpoint.method_state, checkpoint.restore_method, member.method)
        if (average := fleet.average) is not None:
            yield _part(AVERAGE, checkpoint.peers_of, checkpoint.restore_peers, average)
        if (best := fleet.best) is not None:
            yield _part(BEST, best.state, best.restore)
        for prefix, sums in (("sums.", self.terms), ("watched.", self.edges)):
            yield prefix, partial(dict, sums.totals), sums.restore

    def save(self) -> Path:
        """A checkpoint of this very step."""
        assert self.folder is not None
        fleet = self.fleet
        state = {f"{prefix}{name}": t for prefix, save, _ in self.parts() for name, t in save().items()}
        facts = {
            "step": self.step,
            "steps": fleet.total,
            "execute": fleet.execution.execute,
            "threads": fleet.execution.threads,
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
        for prefix, _, restore in self.parts():
            try:
                restore(under(prefix, saved.state))
            except ValueError as error:
                raise BrokenCheckpoint(OTHER_STATE.format(folder=self.folder, error=error)) from error
        self.step, self.terms.count, self.edges.count = (facts[name] for name in ("step", "counted", "looked"))
        self.seconds = facts["seconds"]
        if self.terms.count and not all(self.terms.means()):
            raise BrokenCheckpoint(OTHER_STATE.format(folder=self.folder, error="the terms of some are missing"))
        self.fleet.cohort.passes.forward, self.fleet.cohort.passes.backward = facts["passes"]


def _check_finite(run: Run, epoch: int, terms: Mapping[str, list[float]]) -> None:
    for name, values in terms.items():
        for peer, value in enumerate(values):
            if not math.isfinite(value):
                raise diverged(run, f"the {name} term of peer {peer} is {value} in epoch {epoch}")


def _part(prefix: str, save: Callable[..., Tensors], restore: Callable[..., None], *what: Any) -> Part:
    return prefix, partial(save, *what), partial(restore, *what)
