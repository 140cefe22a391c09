"""A fleet on its way: steps, epochs, and checkpoints of any step."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch

from codistill import checkpoint
from codistill.checkpoint import AVERAGE, BEST, BrokenCheckpoint, Checkpoint, Tensors, under
from codistill.cohort.groups import Leaf
from codistill.exchange.shared_folder import SharedFolder
from codistill.methods import Terms
from codistill.randomness import seeded
from codistill.run import Run
from codistill.training.edges import Edges, is_measured
from codistill.training.evaluate import predictions
from codistill.training.finite import Watch, diverged, lost_terms, lost_weights
from codistill.training.fleet import Fleet, Member
from codistill.training.listening import Listening
from codistill.training.records import Diverged
from codistill.training.results import measure_networks
from codistill.training.sharing import Sharing
from codistill.training.step import take
from codistill.training.streams import training_seed

OTHER_STATE = (
    "{folder}: its checkpoint holds the networks, but not what their methods need to go on ({error}). Versions before "
    "this one kept the seeds of a method whose peers meet as one cohort (kdcl, okddip, pcl ...) together. The networks "
    "are whole: codistill evaluate {folder} measures them; or train again into another folder"
)
IN_A_ROW = 20  # steps that may be skipped one after the other
REWINDS = 10  # of one training
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
        self.sharing = _sharing(fleet)
        self.step, self.seconds = 0, 0.0
        self.terms = Sums(len(fleet.members), fleet.device)
        self.edges = Sums(len(fleet.members), fleet.device)
        self.watch = Watch()
        self.diverged: dict[Run, str] = {}  # runs of several that others go on without
        self.task: dict[str, list[list[float]]] = {}  # by run, each peer's task loss in the first and the last epoch
        self.passed_over: list[int] = []  # steps that are not taken, of the whole training
        self.rewinds = 0
        self.start = self.state(copied=True) if fleet.run.on_divergence == "rewind" else None
        self._mark()

    # Stepping ------------------------------------------------------------------------------------------------------

    def renew(self) -> Mapping[str, Any] | None:
        """Before a step: what other processes have left, see `Sharing.renew`, or told; None where there is nothing."""
        return None if self.sharing is None else self.sharing.renew(self.step)

    def advance(self) -> list[Terms]:
        """One step; one that is passed over has no terms.

        Raises:
            Diverged: terms of a step (this one, or one shortly before) are no numbers.
        """
        fleet = self.fleet
        epoch, step = divmod(self.step, fleet.steps)
        started = time.perf_counter()
        if step == 0:
            self.sound = False
            for member in fleet.members:
                member.method.start_epoch(epoch)
        terms: list[Terms] = [{} for _ in fleet.members]
        if self.step not in self.passed_over:
            terms = self._skipping(epoch, step) if fleet.run.on_divergence == "skip" else self._take(epoch, step)
        self.step += 1
        self.seconds += time.perf_counter() - started
        self._mark()
        self.check(wait=fleet.run.on_divergence == "rewind")
        if self.sharing is not None:
            self.sharing.publish(self.step)
        return terms

    def _take(self, epoch: int, step: int) -> list[Terms]:
        fleet = self.fleet
        edges: list[Edges] | None = [] if is_measured(step, fleet.steps) else None
        with seeded(fleet.device, training_seed(fleet.run), "step", self.step):
            terms = take(fleet, epoch, step, edges)
        if fleet.average is not None:
            fleet.average.follow(fleet.cohort, min(fleet.run.average, (1 + self.step) / (10 + self.step)))
        self.watch.add(self.step, terms)
        self.terms.add(terms)
        if edges is not None:
            self.edges.add(edges)
        return terms

    def _mark(self) -> None:
        """What has been done is whole: whether an error leaves it so is seen by the passes that were made since."""
        self.sound, self._passes = True, self.fleet.cohort.passes.forward

    @property
    def is_sound(self) -> bool:
        """Whether everything is as the last step has left it, so that it can be saved in the middle of an error."""
        return self.sound and self._passes == self.fleet.cohort.passes.forward

    # Divergence ----------------------------------------------------------------------------------------------------

    def check(self, *, wait: bool = False) -> None:
        """See whether all terms are numbers, as far as that is known; ``wait``: of all steps, and the weights too.

        Of several runs the others go on; what has diverged is kept in `diverged`.

        Raises:
            Diverged: of the only run, or of all.
        """
        fleet = self.fleet
        while found := self.watch.found(wait=wait):
            self._lost(lost_terms(fleet, found[1], found[0], self.diverged), found[0])
        if wait:
            self._lost(lost_weights(fleet, self.diverged), self.step - 1)

    def _lost(self, lost: Iterable[tuple[Run, str]], step: int) -> None:
        for run, what in lost:
            if self.fleet.run.on_divergence != "stop" or self.diverged.keys() | {run} == set(self.fleet.runs):
                raise diverged(run, what, step)
            self.diverged.setdefault(run, what)

    def _skipping(self, epoch: int, step: int) -> list[Terms]:
        """A step that is undone where it ends in what is no number; it waits for the device.

        Raises:
            Diverged: many steps one after the other.
        """
        before = self.state(copied=True)
        terms = self._take(epoch, step)
        found = self.watch.found(wait=True)
        lost = list(lost_terms(self.fleet, found[1], found[0]) if found else lost_weights(self.fleet))
        if not lost:
            return terms
        self._put_back(before)
        self.passed_over.append(self.step)
        if self.passed_over[-IN_A_ROW:] == list(range(self.step - IN_A_ROW + 1, self.step + 1)):
            raise diverged(lost[0][0], f"{lost[0][1]}, and {IN_A_ROW} steps one after the other were skipped")
        return [{} for _ in self.fleet.members]

    def rewind(self, error: Diverged) -> int:
        """Go back to the newest checkpoint, or the start, and pass over the step that ended in what is no number.

        Returns: the step that it goes on from.

        Raises:
            Diverged: the run does not ask for it, or it has been done too often.
        """
        if self.fleet.run.on_divergence != "rewind" or error.step is None or self.rewinds == REWINDS:
            raise error
        passed_over, rewinds = sorted({*self.passed_over, error.step}), self.rewinds + 1
        found = checkpoint.newest_whole(self.folder) if self.folder is not None else None
        saved = found[1] if found else self.start
        if saved is None:
            raise error
        self.restore(saved)
        self.passed_over, self.rewinds, self.watch = passed_over, rewinds, Watch()
        return self.step

    def finish_epoch(self) -> list[dict[str, Any]]:
        """The epoch's lines, one for each run; the sums begin again.

        Raises:
            Diverged: names the run, the peer and the term.
        """
        self.check(wait=True)
        valid, lines = self.validate(self.fleet.epochs_after(self.step)), []
        for member, means, edges in zip(self.fleet.members, self.terms.means(), self.edges.means(), strict=True):
            terms = {name: mean.reshape(-1).tolist() for name, mean in means.items()}
            for number, run in enumerate(member.runs):
                if run in self.diverged:
                    continue
                line = self._line(member, number, terms)
                line |= {name: mean[number].tolist() for name, mean in edges.items()}
                if valid is not None:
                    line["valid_accuracy"] = [
                        valid[member.peers[member.block(number)[i]]] for i in self.fleet.here(run)
                    ]
                lines.append(line)
        self.terms.clear()
        self.edges.clear()
        self.seconds = 0.0
        for line in lines:
            task = line["terms"].get("task", [])
            self.task[line["run"]] = [self.task.get(line["run"], [task])[0], task]
        return lines

    def _line(self, member: Member, number: int, means: Mapping[str, list[float]]) -> dict[str, Any]:
        """What the log says of one run's epoch, but for what was measured besides the terms."""
        run = member.runs[number]
        block = [member.block(number)[i] for i in self.fleet.here(run)]
        terms = {
            name: [values[i] for i in block] if len(values) == len(member.peers) else [values[number]]
            for name, values in means.items()
        }
        return {
            "kind": "epoch",
            "run": self.fleet.run_names[run],
            "method": str(run.method),
            "update": run.update,
            "peers": run.peers,
            "seed": run.seed,
            "epoch": self.fleet.epochs_after(self.step),
            "step": self.step,
            "progress": self.step / self.fleet.total,
            "learning_rate": run.learning_rate * self.fleet.rate_factor(self.step - 1),
            "seconds": round(self.seconds, 3),
            "terms": terms,
        } | ({"passed_over": len(self.passed_over), "rewinds": self.rewinds} if self.passed_over else {})

    def validate(self, epoch: int) -> list[float] | None:
        """Each peer's validation accuracy, in the epochs that have one; `Best` takes over what is better.

        Where examples are held out for it, the last epoch always has one.
        """
        fleet, every = self.fleet, self.fleet.run.evaluate_every
        is_last = self.step == fleet.total and bool(fleet.run.valid)
        if not is_last and (not every or epoch % every):
            return None
        accuracy = [-1.0] * len(fleet.cohort)  # of those that other silos have
        for run, logits, labels in predictions(fleet, "valid", fleet.current):
            measured = measure_networks(logits, labels, fleet.dataset.task)
            for number, values in zip(fleet.here(run), measured, strict=True):
                accuracy[fleet.peers_by_run[run][number]] = values["accuracy"]
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
        if isinstance(self.sharing, Listening):
            yield "silo.", self.sharing.state, self.sharing.restore
        if (average := fleet.average) is not None:
            yield _part(AVERAGE, checkpoint.peers_of, checkpoint.restore_peers, average)
        if (best := fleet.best) is not None:
            yield _part(BEST, best.state, best.restore)
        for prefix, sums in (("sums.", self.terms), ("watched.", self.edges)):
            yield prefix, partial(dict, sums.totals), sums.restore

    def save(self) -> Path:
        """A checkpoint of this very step; on a mesh all processes take part, and the first one writes it.

        Raises:
            Diverged: it would hold weights that are no numbers; the one before stays.
        """
        assert self.folder is not None
        self.check(wait=True)
        mesh, saved = self.fleet.mesh, self.state()
        if mesh.size == 1:
            return checkpoint.save(self.folder, saved)
        own = [{name: t.cpu() for name, t in each.items()} for each in (saved.peers, saved.state)]
        pieces = mesh.collected(own)  # of what several processes have, any one's will do
        peers, state = ({name: t for piece in pieces for name, t in piece[kind].items()} for kind in (0, 1))
        path = checkpoint.save(self.folder, Checkpoint(peers, state, saved.facts)) if mesh.is_first else None
        found = mesh.agreed(path)
        assert found is not None
        return found

    def save_after(self, error: Exception) -> None:
        """A checkpoint where an error has left everything sound; the error then says so.

        None on a mesh: the other processes may not know of the error, and a checkpoint is of all.
        """
        if self.folder is None or not self.is_sound or self.fleet.mesh.size > 1:
            return
        with suppress(OSError, Diverged):  # the first error is the one to tell
            self.save()
            error.add_note(f"step {self.step} was saved: codistill resume {self.folder}")

    def state(self, *, copied: bool = False) -> Checkpoint:
        """All that moves; ``copied``: so that it stays as it is."""
        fleet = self.fleet
        state = {f"{prefix}{name}": t for prefix, save, _ in self.parts() for name, t in save().items()}
        peers = checkpoint.peers_of(fleet.cohort)
        if copied:
            peers, state = ({name: t.detach().clone() for name, t in each.items()} for each in (peers, state))
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
            "passed_over": self.passed_over,
            "rewinds": self.rewinds,
            "diverged": {str(fleet.runs.index(run)): what for run, what in self.diverged.items()},
            "task": dict(self.task),
        }
        return Checkpoint(peers, state, facts)

    def restore(self, saved: Checkpoint) -> None:
        """Go back to where a checkpoint was made.

        Raises:
            BrokenCheckpoint: something is missing in it.
        """
        facts = saved.facts
        if missing := [name for name in checkpoint.FACTS if name not in facts]:
            raise BrokenCheckpoint(f"the checkpoint of step {facts['step']} has no {missing[0]!r}: remove it")
        try:
            self._put_back(saved)
        except (ValueError, KeyError) as error:
            raise BrokenCheckpoint(OTHER_STATE.format(folder=self.folder, error=error)) from error
        self.step = facts["step"]
        self.seconds = facts["seconds"]
        if self.terms.count and not all(self.terms.means()):
            raise BrokenCheckpoint(OTHER_STATE.format(folder=self.folder, error="the terms of some are missing"))
        self.fleet.cohort.passes.forward, self.fleet.cohort.passes.backward = facts["passes"]
        self.passed_over, self.rewinds = facts.get("passed_over", []), facts.get("rewinds", 0)
        self.diverged = {self.fleet.runs[int(number)]: what for number, what in facts.get("diverged", {}).items()}
        self.task = dict(facts.get("task", {}))
        self._mark()

    def _put_back(self, saved: Checkpoint) -> None:
        """The tensors of a checkpoint, and how many steps their sums are of.

        Raises:
            ValueError: something is lost.
        """
        checkpoint.restore_peers(self.fleet.cohort, saved.peers)
        for prefix, _, restore in self.parts():
            restore(under(prefix, saved.state))
        if saved.facts["step"] > len(saved.facts.get("passed_over", [])):
            for turn in self.fleet.turns:
                checkpoint.check_remembered(turn.optimizer, turn.leaves)
        self.terms.count, self.edges.count = (saved.facts[name] for name in ("counted", "looked"))


def _sharing(fleet: Fleet) -> Sharing | Listening | None:
    """How a fleet meets peers of other processes; None where it is on its own."""
    if fleet.shared is None:
        return None
    return Sharing(fleet.shared, fleet) if isinstance(fleet.shared, SharedFolder) else Listening(fleet.shared, fleet)


def _part(prefix: str, save: Callable[..., Tensors], restore: Callable[..., None], *what: Any) -> Part:
    return prefix, partial(save, *what), partial(restore, *what)
