"""Training is a generator of records; progress lines, logs and plots are its consumers."""

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Unpack

from codistill import checkpoint
from codistill.checkpoint import Checkpoint
from codistill.cohort.timing import computing_with
from codistill.data.split import CLEAN
from codistill.description import FILE
from codistill.jsonable import to_json
from codistill.run import Run
from codistill.training.build import build_fleet
from codistill.training.describing import describe
from codistill.training.fleet import Fleet
from codistill.training.given import Given, named_after
from codistill.training.records import Record
from codistill.training.results import evaluate
from codistill.training.sizes import Sizes
from codistill.training.state import Training
from codistill.training.traffic import traffic_of


def train(
    runs: Run | Sequence[Run],
    folder: str | Path | None = None,
    *,
    resume: bool = False,
    part: str | None = "test",
    **given: Unpack[Given],
) -> Generator[Record, None, None]:
    """Train a run, or several as one fleet: yields a `Record` of a start, steps, epochs' ends, checkpoints, the end.

    Closing the generator (or leaving the loop over it) with a folder writes a checkpoint, from which `resume` goes on.

    Args:
        runs: what to train.
        folder: where checkpoints, log and results go; None: nowhere.
        resume: go on from the folder's newest checkpoint, bit for bit.
        part: what to evaluate on at the end, once: ``test``, ``valid`` where something is still to be chosen, or None.
        given: in place of what the runs name: ``dataset``, a `DataSet`; ``networks``, for all peers in order, trained
            when this has ended; ``teachers``, folders by the names that methods give to their teacher.

    Raises:
        FileExistsError: the folder holds a run already.
        Diverged: a loss is not finite.
        ValueError: settings that do not fit each other or the data; nothing has been written then.
    """
    runs = named_after([runs] if isinstance(runs, Run) else list(runs), given)
    training = _begun(runs, Path(folder) if folder is not None else None, resume, given)
    fleet = training.fleet
    with computing_with(fleet.execution.threads):
        yield from _recorded(training)
        for peer, net in enumerate(given.get("networks") or ()):  # what a stack has learned goes to what it was made of
            net.load_state_dict(fleet.delivered.network(peer).state_dict())
        rows, decisions = evaluate(fleet, part) if part else ([], {})
    lines, facts = [row.to_json() for row in rows], {"passes": {**vars(fleet.cohort.passes)}}
    yield Record("end", training.step, fleet.total, lines=lines, facts=facts, decisions=decisions)


def _begun(runs: Sequence[Run], folder: Path | None, resume: bool, given: Given) -> Training:
    """A training at its first step, or where its folder's newest checkpoint left it."""
    if not resume and folder is not None and (folder / "runs.json").exists():
        raise FileExistsError(f"{folder} holds a run already: resume it, or choose another folder")
    saved = _newest(folder, runs, given) if resume else None
    fleet = build_fleet(runs, **(how(saved) if saved else {}), load=saved is None, **given)
    training = Training(fleet, folder)
    if saved:
        training.restore(saved)
    elif folder is not None and not resume:
        checkpoint.write_runs(folder, runs)  # only now: settings that do not fit leave no folder behind
    if folder is not None and not (folder / FILE).exists():
        describe(fleet, folder)
    return training


def _recorded(training: Training) -> Generator[Record, None, None]:
    """The start and all steps; when they are broken off, a checkpoint."""
    yield Record("start", training.step, training.fleet.total, facts=_start_facts(training.fleet))
    try:
        yield from _steps(training, training.fleet.run)
    except GeneratorExit:
        if training.folder is not None:
            training.save()
        raise
    finally:
        training.fleet.streams.close()


def _steps(training: Training, run: Run) -> Generator[Record, None, None]:
    fleet, total = training.fleet, training.fleet.total
    while True:
        epoch = fleet.epochs_after(training.step)
        if (training.step == total or training.step % fleet.steps == 0) and training.terms.count:
            yield Record("epoch", training.step, total, lines=training.finish_epoch())
            is_saved = training.step == total or (run.checkpoint_every and epoch % run.checkpoint_every == 0)
        else:
            is_saved = run.checkpoint_steps and training.step and training.step % run.checkpoint_steps == 0
        if training.folder and is_saved:
            yield Record("checkpoint", training.step, total, facts={"path": str(training.save())})
        if training.step == total:
            return
        yield Record("step", training.step + 1, total, terms=training.advance())


def _newest(folder: Path | None, runs: Sequence[Run], given: Given) -> Checkpoint | None:
    """The newest checkpoint of these runs, if they have one."""
    if folder is None:
        raise ValueError("resume=True needs the folder of a run")
    if named_after(checkpoint.read_runs(folder), given) != list(runs):
        raise ValueError(f"{folder} holds other runs than these; use resume(folder)")
    newest = checkpoint.latest(folder)
    return checkpoint.load(newest) if newest else None


def resume(folder: str | Path, **settings: Any) -> Generator[Record, None, None]:
    """Go on with an interrupted run; ends bit for bit where an unbroken one does. Settings as of `train`."""
    return train(checkpoint.read_runs(Path(folder)), folder, resume=True, **settings)


def restored(folder: str | Path, **given: Unpack[Given]) -> Fleet:
    """The fleet of a folder as its newest checkpoint left it, for evaluation; ``given`` is as of `train`.

    Raises:
        FileNotFoundError: there is no run, or no checkpoint yet.
    """
    folder = Path(folder)
    runs, newest = named_after(checkpoint.read_runs(folder), given), checkpoint.latest(folder)
    if newest is None:
        raise FileNotFoundError(f"{folder} has no checkpoint yet: codistill resume {folder}")
    saved = checkpoint.load(newest)
    fleet = build_fleet(runs, **how(saved), load=False, **given)
    checkpoint.restore_peers(fleet.cohort, saved.peers)
    if fleet.delivered is not fleet.cohort:
        checkpoint.restore_peers(fleet.delivered, saved.delivered)
    return fleet


def how(saved: Checkpoint) -> dict[str, Any]:
    """The executor and the threads of what was saved; earlier versions did not say the threads."""
    return {"execute": saved.facts["execute"], "threads": saved.facts.get("threads")}


def _start_facts(fleet: Fleet) -> dict[str, Any]:
    return {
        **vars(fleet.execution),
        "groups": [len(group.peers) for group in fleet.cohort.parts()],
        "networks": len(fleet.cohort),
        "parameters": [sum(p.numel() for p in fleet.cohort.parameters()) // len(fleet.cohort)],
        "device": str(fleet.device),
        "steps_per_epoch": fleet.steps,
        "settings": fleet.run.as_dict(),
        "sizes": to_json(Sizes.of(fleet)),
        "seeds": list(fleet.streams.seeds),
        "traffic": to_json(traffic_of(fleet)),
    } | ({"noisy_labels": [parts.noisy for parts in fleet.streams.parts]} if fleet.run.noise != CLEAN else {})
