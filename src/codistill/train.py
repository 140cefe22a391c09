"""Training is a generator of records; progress lines, logs and plots are its consumers."""

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from codistill import checkpoint, evaluate
from codistill.checkpoint import Checkpoint
from codistill.cohort.groups import Leaf
from codistill.data.examples import DataSet
from codistill.fleet import Fleet
from codistill.methods import Terms
from codistill.randomness import seeded
from codistill.run import Run
from codistill.step import take
from codistill.watch import Watched, is_watched


class Diverged(ArithmeticError):
    """A loss is no longer a number."""


@dataclass(frozen=True)
class Record:
    """What happened.

    Attributes:
        kind: ``start | step | epoch | checkpoint | end``.
        step: steps done.
        steps: steps of the whole training.
        terms: of a step, each member's terms ``[P]``, on the device: reading them waits for it.
        lines: of an epoch, one dict for each run, for ``log.jsonl``; of the end, the rows of ``results.jsonl``.
        facts: executor, path of the checkpoint and the like.
    """

    kind: str
    step: int
    steps: int
    terms: list[Terms] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


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
                    "method": run.method,
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
        return [row["accuracy"] for row in results(self.fleet, "valid") if row["peer"] is not None]

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
        _restore_peers(fleet, saved)
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
                raise _diverged(run, f"the {name} term of peer {peer} is {value} in epoch {epoch}")


def _diverged(run: Run, what: str) -> Diverged:
    return Diverged(
        f"{run.name}: {what}: lower learning_rate={run.learning_rate:g}, or set clip (now {run.clip}) or warmup "
        f"(now {run.warmup:g})"
    )


def results(fleet: Fleet, part: str) -> list[dict[str, Any]]:
    """The rows of every run on a part of the data (``test``, ``valid``), each seed on its own.

    The test part of an open set is searched; the others are classified.
    """
    told, task = fleet.dataset.retrieval, fleet.dataset.task
    if part == "test" and told is not None:
        return [
            row
            for run, features in evaluate.features(fleet)
            for row in evaluate.search_rows(features, told, _about(fleet, run, part, features))
        ]
    return [
        row
        for run, logits, labels in evaluate.predictions(fleet, part)
        for row in evaluate.rows(logits, labels, _about(fleet, run, part, logits), task)
    ]


def _about(fleet: Fleet, run: Run, part: str, outputs: Iterable[Tensor]) -> dict[str, Any]:
    """What every row of a run says; that the last update of all left no nan is seen by no loss."""
    lost = [peer for peer, output in enumerate(outputs) if output.isnan().any()]
    if lost:
        raise _diverged(run, f"peer {lost[0]} predicts nan on the {part} part")
    return {
        "method": run.method,
        "update": run.update,
        "peers": run.peers,
        "seed": run.seed,
        "number": fleet.runs.index(run),
        "part": part,
    }


def train(
    runs: Run | Sequence[Run],
    folder: str | Path | None = None,
    *,
    resume: bool = False,
    dataset: DataSet | None = None,
    networks: Sequence[nn.Module] | None = None,
    teachers: Mapping[str, Path] | None = None,
    part: str | None = "test",
) -> Iterator[Record]:
    """Train a run, or several as one fleet.

    Closing the generator (or leaving the loop over it) with a folder writes a checkpoint, from which `resume` goes on.

    Args:
        runs: what to train.
        folder: where checkpoints, log and results go; None: nowhere.
        resume: go on from the folder's newest checkpoint, bit for bit.
        dataset: in place of the one that the runs name.
        networks: in place of the ones that the runs name, for all peers in order; trained when this has ended.
        teachers: folders by the names that methods give to their teacher.
        part: what to evaluate on at the end, once: ``test``, ``valid`` where something is still to be chosen, or None.

    Yields:
        `Record`: a start, steps, an epoch's end, checkpoints, the end with its results.

    Raises:
        FileExistsError: the folder holds a run already.
        Diverged: a loss is not finite.
        ValueError: settings that do not fit each other or the data; nothing has been written then.
    """
    runs = [runs] if isinstance(runs, Run) else list(runs)
    folder = Path(folder) if folder is not None else None
    saved = _open(folder, runs, resume)
    fleet = Fleet(
        runs,
        execute=saved.facts["execute"] if saved else None,
        dataset=dataset,
        networks=networks,
        teachers=teachers,
        load=saved is None,
    )
    training = Training(fleet, folder)
    if saved:
        training.restore(saved)
    elif folder is not None and not resume:
        checkpoint.write_runs(folder, runs)  # only now: settings that do not fit leave no folder behind
        if fleet.dataset.text is not None and fleet.dataset.text.tokenizer:  # without it the ids mean nothing
            (folder / "tokenizer.json").write_text(fleet.dataset.text.tokenizer, encoding="utf-8")
    yield Record("start", training.step, fleet.total, facts=_start_facts(fleet))
    try:
        yield from _steps(training, runs[0])
    except GeneratorExit:
        if folder is not None:
            training.save()
        raise
    finally:
        fleet.streams.close()
    if networks is not None and fleet.execute == "stack":
        _give_back(fleet, networks)
    lines = results(fleet, part) if part else []
    yield Record("end", training.step, fleet.total, lines=lines, facts={"passes": {**vars(fleet.cohort.passes)}})


def _give_back(fleet: Fleet, networks: Sequence[nn.Module]) -> None:
    """Put what a stack has learnt into the networks that it was made of."""
    for peer, net in enumerate(networks):
        net.load_state_dict(fleet.cohort.network(peer).state_dict())


def _steps(training: Training, run: Run) -> Iterator[Record]:
    fleet, total = training.fleet, training.fleet.total
    while True:
        ends_epoch = training.step % fleet.steps == 0
        if ends_epoch and training.counted:
            lines = training.finish_epoch()
            yield Record("epoch", training.step, total, lines=lines)
            epoch = training.step // fleet.steps
            if training.folder and (
                training.step == total or (run.checkpoint_every and epoch % run.checkpoint_every == 0)
            ):
                yield Record("checkpoint", training.step, total, facts={"path": str(training.save())})
        elif training.folder and run.checkpoint_steps and training.step and training.step % run.checkpoint_steps == 0:
            yield Record("checkpoint", training.step, total, facts={"path": str(training.save())})
        if training.step == total:
            return
        yield Record("step", training.step + 1, total, terms=training.advance())


def _open(folder: Path | None, runs: Sequence[Run], resume: bool) -> Checkpoint | None:
    """Where a folder's runs were, or nothing where it is free."""
    if folder is None:
        if resume:
            raise ValueError("resume=True needs the folder of a run")
        return None
    if resume:
        if checkpoint.read_runs(folder) != list(runs):
            raise ValueError(f"{folder} holds other runs than these; use resume(folder)")
        newest = checkpoint.latest(folder)
        return checkpoint.load(newest) if newest else None
    if (folder / "runs.json").exists():
        raise FileExistsError(f"{folder} holds a run already: resume it, or choose another folder")
    return None


def resume(folder: str | Path, **settings: Any) -> Iterator[Record]:
    """Go on with an interrupted run; ends bit for bit where an unbroken one does. Settings as of `train`."""
    return train(checkpoint.read_runs(Path(folder)), folder, resume=True, **settings)


def restored(
    folder: str | Path,
    *,
    dataset: DataSet | None = None,
    networks: Sequence[nn.Module] | None = None,
    teachers: Mapping[str, Path] | None = None,
) -> Fleet:
    """The fleet of a folder as its newest checkpoint left it, for evaluation. Settings as of `train`.

    Raises:
        FileNotFoundError: there is no run, or no checkpoint yet.
    """
    folder = Path(folder)
    runs, newest = checkpoint.read_runs(folder), checkpoint.latest(folder)
    if newest is None:
        raise FileNotFoundError(f"{folder} has no checkpoint yet: codistill resume {folder}")
    saved = checkpoint.load(newest)
    fleet = Fleet(
        runs, execute=saved.facts["execute"], dataset=dataset, networks=networks, teachers=teachers, load=False
    )
    _restore_peers(fleet, saved)
    return fleet


def _restore_peers(fleet: Fleet, saved: Checkpoint) -> None:
    """The networks, and the averages of their weights."""
    checkpoint.restore_peers(fleet.cohort, saved.peers)
    if fleet.average is not None:
        checkpoint.restore_peers(fleet.average, saved.delivered)


def _start_facts(fleet: Fleet) -> dict[str, Any]:
    return {
        "execute": fleet.execute,
        "timing": fleet.timing,
        "groups": [len(group.peers) for group in fleet.cohort.parts()],
        "networks": len(fleet.cohort),
        "parameters": [sum(p.numel() for p in fleet.cohort.parameters()) // len(fleet.cohort)],
        "device": str(fleet.device),
        "steps_per_epoch": fleet.steps,
    }


def logged(records: Iterator[Record], folder: str | Path) -> Iterator[Record]:
    """Pass records on, and write ``log.jsonl`` and ``results.jsonl`` on the way.

    Lines of steps that a resumed run does again are dropped first.
    """
    path = Path(folder) / "log.jsonl"
    try:
        for record in records:
            if record.kind == "start":
                kept = [line for line in read_lines(path) if line["step"] <= record.step]
                _write(path, kept)
                with path.open("a", encoding="utf-8") as log:
                    log.write(json.dumps({"kind": "start", "step": record.step, **record.facts}) + "\n")
            elif record.kind == "epoch":
                with path.open("a", encoding="utf-8") as log:
                    log.writelines(json.dumps(line) + "\n" for line in record.lines)
            elif record.kind == "end":
                _write(Path(folder) / "results.jsonl", record.lines)
            yield record
    finally:
        records.close()  # type: ignore[attr-defined]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON-lines file; none where there is no file. A last line that was cut short is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _write(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    draft = path.with_suffix(".part")
    draft.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    draft.replace(path)


__all__ = ["Diverged", "Record", "logged", "read_lines", "restored", "results", "resume", "train"]
