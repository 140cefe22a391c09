"""A fleet on its way: steps, epochs, and checkpoints of any step."""

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from codistill import checkpoint
from codistill.checkpoint import Checkpoint
from codistill.cohort.groups import Leaf
from codistill.methods import Terms
from codistill.randomness import seeded
from codistill.run import Run
from codistill.training.edges import Watched, is_watched
from codistill.training.fleet import Fleet
from codistill.training.results import NetworkResult, diverged, results
from codistill.training.step import take


class Training:
    """A fleet on its way: where it is, and the sums of the epoch so far."""

    def __init__(self, fleet: Fleet, folder: Path | None) -> None:
        self.fleet, self.folder = fleet, folder
        self.step = 0
        self.seconds = 0.0
        self.sums: list[Terms] = [{} for _ in fleet.members]
        self.counted = 0
        self.watched: list[Watched] = [{} for _ in fleet.members]
        self.looked = 0

    # Stepping ------------------------------------------------------------------------------------------------------

    def advance(self) -> list[Terms]:
        """One step."""
        fleet = self.fleet
        epoch, step = divmod(self.step, fleet.steps)
        started = time.perf_counter()
        if step == 0:
            for member in fleet.members:
                member.method.start_epoch(epoch)
        seen: list[Watched] | None = [] if is_watched(step, fleet.steps) else None
        with seeded(fleet.device, fleet.run.seed, "step", self.step):
            terms = take(fleet, epoch, step, seen)
        if fleet.average is not None:
            fleet.average.follow(fleet.cohort, min(fleet.run.average, (1 + self.step) / (10 + self.step)))
        _add(self.sums, terms)
        self.counted += 1
        if seen is not None:
            _add(self.watched, seen)
            self.looked += 1
        self.step += 1
        self.seconds += time.perf_counter() - started
        return terms

    def finish_epoch(self) -> list[dict[str, Any]]:
        """The epoch's lines, one for each run; the sums start anew.

        Raises:
            Diverged: names the run, the peer and the term.
        """
        fleet = self.fleet
        progress = self.step / fleet.total
        rate = fleet.run.learning_rate * fleet.schedule((self.step - 1) / fleet.total)
        epoch = self.step // fleet.steps
        valid = self.validate(epoch)
        lines = []
        for member, sums, watched in zip(fleet.members, self.sums, self.watched, strict=True):
            means = {name: (total / self.counted).reshape(-1).tolist() for name, total in sums.items()}
            for number, run in enumerate(member.runs):
                block = member.block(number)
                terms = {
                    n: [v[i] for i in block] if len(v) == len(member.peers) else [v[number]] for n, v in means.items()
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
                    "progress": progress,
                    "learning_rate": rate,
                    "seconds": round(self.seconds, 3),
                    "terms": terms,
                }
                line |= {name: (total[number] / self.looked).tolist() for name, total in watched.items()}
                if valid is not None:
                    line["valid_accuracy"] = [valid[member.peers[i]] for i in block]
                lines.append(line)
        self.sums, self.counted, self.seconds = [{} for _ in fleet.members], 0, 0.0
        self.watched, self.looked = [{} for _ in fleet.members], 0
        return lines

    # Evaluating ----------------------------------------------------------------------------------------------------

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

    def save(self) -> Path:
        """A checkpoint of this very step."""
        assert self.folder is not None
        fleet = self.fleet
        state: dict[str, Tensor] = {}
        for turn, optimizer in enumerate(fleet.optimizers):
            found = checkpoint.optimizer_state(optimizer, fleet.turn_leaves(turn))
            state |= {f"optimizer.{name}": t for name, t in found.items()}
        for number, member in enumerate(fleet.members):
            own = checkpoint.optimizer_state(fleet.optimizers[0], _own_leaves(member.method))
            state |= {f"own.{number}.{name}": t for name, t in own.items()}
            state |= {f"method.{number}.{n}": t for n, t in checkpoint.method_state(member.method).items()}
            state |= {f"sums.{number}.{name}": t for name, t in self.sums[number].items()}
            state |= {f"watched.{number}.{name}": t for name, t in self.watched[number].items()}
        if fleet.average is not None:
            state |= {f"average.{name}": t for name, t in checkpoint.peers_of(fleet.average).items()}
        facts = {
            "step": self.step,
            "steps": fleet.total,
            "execute": fleet.execute,
            "counted": self.counted,
            "looked": self.looked,
            "seconds": self.seconds,
            "passes": [fleet.cohort.passes.forward, fleet.cohort.passes.backward],
            "torch": torch.__version__,
        }
        return checkpoint.save(self.folder, Checkpoint(checkpoint.peers_of(fleet.cohort), state, facts))

    def restore(self, saved: Checkpoint) -> None:
        """Go back to where a checkpoint was made."""
        fleet = self.fleet

        def part(prefix: str) -> dict[str, Tensor]:
            return {n.removeprefix(prefix): t for n, t in saved.state.items() if n.startswith(prefix)}

        if missing := [name for name in ("counted", "looked", "seconds", "passes") if name not in saved.facts]:
            raise checkpoint.BrokenCheckpoint(
                f"the checkpoint of step {saved.facts['step']} has no {missing[0]!r}: remove it"
            )
        restore_peers(fleet, saved)
        for turn, optimizer in enumerate(fleet.optimizers):
            checkpoint.restore_optimizer(optimizer, fleet.turn_leaves(turn), part("optimizer."))
        for number, member in enumerate(fleet.members):
            checkpoint.restore_optimizer(fleet.optimizers[0], _own_leaves(member.method), part(f"own.{number}."))
            checkpoint.restore_method(member.method, part(f"method.{number}."))
            self.sums[number] = {n: t.to(fleet.device) for n, t in part(f"sums.{number}.").items()}
            self.watched[number] = {n: t.to(fleet.device) for n, t in part(f"watched.{number}.").items()}
        self.step, self.counted, self.looked = (saved.facts[name] for name in ("step", "counted", "looked"))
        self.seconds = saved.facts["seconds"]
        fleet.cohort.passes.forward, fleet.cohort.passes.backward = saved.facts["passes"]


def _add(sums: list[Terms], new: list[Terms]) -> None:
    """To each member's sums, by name."""
    for total, values in zip(sums, new, strict=True):
        for name, value in values.items():
            total[name] = total[name] + value if name in total else value.clone()


def _own_leaves(method: nn.Module) -> list[Leaf]:
    return [Leaf((0,), name, p, stacked=False) for name, p in method.named_parameters() if p.requires_grad]


def _check_finite(run: Run, epoch: int, terms: Mapping[str, list[float]]) -> None:
    for name, values in terms.items():
        for peer, value in enumerate(values):
            if not math.isfinite(value):
                raise diverged(run, f"the {name} term of peer {peer} is {value} in epoch {epoch}")


def restore_peers(fleet: Fleet, saved: Checkpoint) -> None:
    """The networks, and the averages of their weights."""
    checkpoint.restore_peers(fleet.cohort, saved.peers)
    if fleet.average is not None:
        checkpoint.restore_peers(fleet.average, saved.delivered)


__all__ = ["Training", "restore_peers"]
