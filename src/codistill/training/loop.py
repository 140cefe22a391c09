"""Training is a generator of records; progress lines, logs and plots are its consumers."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from codistill import checkpoint
from codistill.checkpoint import Checkpoint
from codistill.cohort.timing import computing_with
from codistill.data.split import CLEAN
from codistill.description import FILE
from codistill.exchange import Mesh
from codistill.exchange.rounds import Silo
from codistill.exchange.shared_folder import SharedFolder
from codistill.files import read_json, remove_drafts, write_json
from codistill.jsonable import to_json
from codistill.locks import locked
from codistill.run import RATES, Run
from codistill.training.build import build_fleet
from codistill.training.decisions import Decisions
from codistill.training.describing import describe
from codistill.training.fleet import Fleet
from codistill.training.given import Given, named_after
from codistill.training.learnt import Ended, above_chance, doubts, guessing_costs, nothing_learnt
from codistill.training.records import Diverged, Record
from codistill.training.results import evaluate
from codistill.training.sizes import Sizes
from codistill.training.state import Training
from codistill.training.traffic import traffic_of

SHARED, SILO = "shared.json", "silo.json"


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
            when this has ended; ``teachers``, folders by the names that methods give to their teacher. And ``mesh``,
            the processes that train together: every one of them makes the same calls, the first writes the files, and
            of ``networks`` each trains its own. Or ``shared``, where this process leaves the peers that it trains and
            finds the others; or a silo's part in rounds.

    Raises:
        FileExistsError: the folder holds a run already.
        Held: another process trains in it.
        Diverged: the loss of the only run, or of all runs, is not finite; where `Run.on_divergence` is ``stop``, the
            others go on without one that diverges.
        ValueError: settings that do not fit each other or the data; nothing has been written then.
    """
    runs = named_after([runs] if isinstance(runs, Run) else list(runs), given)
    home = Path(folder) if folder is not None else None
    mesh = given.get("mesh") or Mesh()
    if home is not None and (mesh.is_first or resume):
        _check_folder(home, runs, resume, given)  # also before anything is written
    with locked(home) if home is not None and mesh.is_first else nullcontext():
        training = _begun(runs, home, resume, given)
        with computing_with(training.fleet.execution.threads):
            yield from _trained(training, part, given)


def _trained(training: Training, part: str | None, given: Given) -> Generator[Record, None, None]:
    fleet = training.fleet
    yield from _recorded(training)
    networks, delivered = given.get("networks") or (), fleet.delivered
    for peer in delivered.held if networks else ():  # what a stack has learned goes to what it was made of
        networks[peer].load_state_dict(delivered.network(peer).state_dict())
    rows, decisions = evaluate(fleet, part, training.diverged) if part else ([], {})
    lost = {fleet.runs.index(run): what for run, what in training.diverged.items()}
    facts: dict[str, Any] = {"passes": {**vars(fleet.cohort.passes)}} | ({"diverged": lost} if lost else {})
    facts |= _learnt(training, decisions)
    if fleet.mesh.size > 1:
        told = fleet.told and fleet.told.count
        facts["exchanged"] = {"received": fleet.mesh.gathered, "added": fleet.mesh.added, "largest": told}
    yield Record("end", training.step, fleet.total, lines=[r.to_json() for r in rows], facts=facts, decisions=decisions)


def _learnt(training: Training, decisions: Mapping[int, Decisions]) -> dict[str, Any]:
    """Of the runs that came to the end, what there is to doubt, and whether none of them has learnt anything."""
    fleet = training.fleet
    kept = {run: peers for run, peers in fleet.peers_by_run.items() if run not in training.diverged}
    numbers = {run: number for number, run in enumerate(fleet.runs)}
    ended = []
    for run, peers in kept.items():
        first, last = training.task.get(run.name, ((), ()))
        normalised = tuple(peer - peers.start for peer in fleet.normalised if peer in peers)
        number = numbers[run]
        ended.append(Ended(run.name, number, first, last, normalised, decisions.get(number)))
    found = doubts(ended, guessing_costs(fleet.dataset.task, fleet.dataset.classes))
    exploded = {doubt.number: doubt.peers for doubt in found if doubt.kind == "exploded"}
    above = [
        value
        for run, number in ((run, numbers[run]) for run in kept)
        for value in above_chance(decisions.get(number), run.peers, exploded.get(number, ()))
    ]
    return {"doubts": found, "nothing_learnt": nothing_learnt(above)}


def _begun(runs: Sequence[Run], folder: Path | None, resume: bool, given: Given) -> Training:
    """A training at its first step, or where its folder's newest checkpoint left it."""
    mesh, found = given.get("mesh") or Mesh(), None
    home = folder if mesh.is_first else None  # where this process writes
    if home is not None:
        _check_folder(home, runs, resume, given)
        remove_drafts(home)
    if resume:
        if folder is None:
            raise ValueError("resume=True needs the folder of a run")
        found = checkpoint.newest_whole(folder)
        given = {**given, "shared": _shared_again(folder, given.get("shared"))}
    saved = found[1] if found else None
    fleet = build_fleet(runs, **(how(saved) if saved else {}), load=saved is None, **given)
    training = Training(fleet, folder)
    if saved:
        training.restore(saved)
    elif home is not None and not resume:
        if isinstance(fleet.shared, SharedFolder):
            write_json(home / SHARED, fleet.shared.to_json())
        elif fleet.shared is not None:
            write_json(home / SILO, fleet.shared.to_json())
        checkpoint.write_runs(home, runs)
    if home is not None and not (home / FILE).exists():
        describe(fleet, home)
    return training


def _shared_again(folder: Path, given: SharedFolder | Silo | None) -> SharedFolder | Silo | None:
    """The part in a shared folder that a run has had; the folder itself is said again, since it is written to.

    A silo's part in rounds is as it is given.

    Raises:
        ValueError: it is not said, or the run has never had a part in one.
    """
    if isinstance(given, Silo):
        return given
    if (folder / SILO).exists():
        raise ValueError(
            f"{folder} is of one peer of several silos: it goes on when it is asked to, see docs/flower.md"
        )
    if not (folder / SHARED).exists():
        if given is not None:
            raise ValueError(f"shared: {folder} trains all peers of its run: leave it out")
        return None
    before = SharedFolder.from_json(read_json(folder / SHARED))
    if given is None:
        raise ValueError(f"{folder} trains some peers of a run, and met the others in {before.folder}: give --shared")
    return replace(before, folder=given.folder)


def _recorded(training: Training) -> Generator[Record, None, None]:
    """The start and all steps; when they are broken off, or end in an error that leaves them sound, a checkpoint."""
    yield Record("start", training.step, training.fleet.total, facts=_start_facts(training.fleet))
    try:
        yield from _steps(training, training.fleet.run)
    except GeneratorExit:
        if training.folder is not None:
            with suppress(Diverged):  # the checkpoint before stays
                training.save()
        raise
    except Diverged as error:
        raise _with_checkpoint(error, training.folder) from None
    except Exception as error:
        training.save_after(error)
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
        if (renewed := training.renew()) is not None:
            yield Record("exchange", training.step, total, facts={**renewed})
        try:
            terms = training.advance()
        except Diverged as error:
            yield Record("rewind", training.rewind(error), total, facts={"why": str(error)})
        else:
            yield Record("step", training.step, total, terms=terms)


def _with_checkpoint(error: Diverged, folder: Path | None) -> Diverged:
    """The error, which says where the run may be gone on from."""
    newest = checkpoint.latest(folder) if folder is not None else None
    if folder is not None:
        error.add_note(f"the checkpoint before is {newest}" if newest else "there is no checkpoint yet")
    return error


def _check_folder(folder: Path, runs: Sequence[Run], resume: bool, given: Given) -> None:
    """A new run needs a folder without one, and one that is resumed its own."""
    if not resume and (folder / "runs.json").exists():
        raise FileExistsError(f"{folder} holds a run already: resume it, or choose another folder")
    if resume and named_after(checkpoint.read_runs(folder), given) != list(runs):
        raise ValueError(f"{folder} holds other runs than these; use resume(folder)")


def resume(folder: str | Path, **settings: Any) -> Generator[Record, None, None]:
    """Go on with an interrupted run; ends bit for bit where an unbroken one does. Settings as of `train`."""
    return train(checkpoint.read_runs(Path(folder)), folder, resume=True, **settings)


def restored(folder: str | Path, **given: Unpack[Given]) -> Fleet:
    """The fleet of a folder as its newest checkpoint left it, for evaluation; ``given`` is as of `train`.

    Raises:
        FileNotFoundError: there is no run, or no checkpoint yet.
    """
    folder = Path(folder)
    runs, newest = named_after(checkpoint.read_runs(folder), given), checkpoint.newest_whole(folder)
    if newest is None:
        raise FileNotFoundError(f"{folder} has no checkpoint yet: codistill resume {folder}")
    _, saved = newest
    if (folder / SILO).exists():
        given = {**given, "shared": Silo.from_json(read_json(folder / SILO))}
    fleet = build_fleet(runs, **how(saved), load=False, **given)
    checkpoint.restore_peers(fleet.cohort, saved.peers)
    if fleet.delivered is not fleet.cohort:
        checkpoint.restore_peers(fleet.delivered, saved.delivered)
    return fleet


def how(saved: Checkpoint) -> Mapping[str, Any]:
    """The executor and the threads of what was saved; earlier versions did not say the threads."""
    return {"execute": saved.facts["execute"], "threads": saved.facts.get("threads")}


def _start_facts(fleet: Fleet) -> dict[str, Any]:
    networks = sum(len(fleet.here(run)) for run in fleet.runs)
    return {
        **vars(fleet.execution),
        "groups": [len(group.peers) for group in fleet.cohort.parts()],
        "networks": networks,
        "parameters": [fleet.cohort.parameter_count // networks],
        "device": str(fleet.device),
        "steps_per_epoch": fleet.steps,
        "settings": fleet.run.as_dict(),
        "sizes": to_json(Sizes.of(fleet)),
        "seeds": list(fleet.streams.seeds),
        "traffic": to_json(traffic_of(fleet)),
        "several": {name: each for name in RATES if len(each := sorted({getattr(r, name) for r in fleet.runs})) > 1},
    } | ({"noisy_labels": [parts.noisy for parts in fleet.streams.parts]} if fleet.run.noise != CLEAN else {})
