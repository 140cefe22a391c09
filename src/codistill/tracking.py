"""The records of a training for TensorBoard, Weights & Biases and MLflow, which are installed as extras.

Each tool is a function that takes records and passes them on, as `codistill.training.records.logged` does::

    for record in tensorboard(train(run, folder), folder):
        ...

Every run of a training is one of the tool's, by the name of the run; steps are those of the training. Tags of an epoch
are ``loss/task``, ``loss/mimic`` (the terms), ``valid/accuracy``, ``lr``, ``time/epoch``, ``peers/kl`` and
``peers/agreement``; of the end, ``test/accuracy``, ``test/nll`` and so on, and ``test/ensemble/accuracy``. A value is
the mean over the run's networks; with ``.0`` and so on behind it, that of one network.
"""

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from codistill.libraries import needed
from codistill.training.records import Record

Records = Generator[Record, None, None]
Values = dict[str, float]
PROJECT = "codistill"


class Writer(Protocol):
    """One run of a tool."""

    def write(self, step: int, values: Values) -> None:
        """Values by tag."""

    def close(self) -> None:
        """No more is to come."""


def epoch_values(line: Mapping[str, Any]) -> Values:
    """What the line of an epoch in ``log.jsonl`` says of one run, by tag."""
    values = {"lr": line["learning_rate"], "time/epoch": line["seconds"]}
    for name, each in line["terms"].items():
        values |= _over_networks(f"loss/{name}", each)
    if "valid_accuracy" in line:
        values |= _over_networks("valid/accuracy", line["valid_accuracy"])
    for tag, name in (("peers/kl", "edges"), ("peers/agreement", "agree")):
        if name in line:
            pairs = [value for i, row in enumerate(line[name]) for j, value in enumerate(row) if i != j]
            values[tag] = _mean(pairs)
    return values


def end_values(rows: Sequence[Mapping[str, Any]]) -> Values:
    """What the rows of ``results.jsonl`` say of one run, by tag."""
    values: Values = {}
    networks = [row for row in rows if row.get("peer") is not None]
    for name in _measures(networks):
        values |= _over_networks(f"{networks[0]['part']}/{name}", [row[name] for row in networks])
    ensembles = [row for row in rows if row.get("peer") is None and row.get("networks")]
    if ensembles:
        largest = max(ensembles, key=lambda row: int(row["networks"]))
        values |= {f"{largest['part']}/ensemble/{name}": largest[name] for name in _measures([largest])}
    return values


def _measures(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of what was measured: everything in floating point."""
    return [name for name, value in rows[0].items() if isinstance(value, float)] if rows else []


def _over_networks(tag: str, each: Sequence[float]) -> Values:
    one = {f"{tag}.{number}": value for number, value in enumerate(each)} if len(each) > 1 else {}
    return {tag: _mean(each), **one}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _followed(records: Records, begin: Callable[[str, int], Writer]) -> Records:
    """Pass records on, and tell the writers of their runs.

    Args:
        records: of a training, or of several one after the other.
        begin: makes the writer of a run, which begins or goes on after so many steps.
    """
    writers: dict[str, Writer] = {}
    runs: list[str] = []  # of this training, in the order in which results number them
    first = 0
    try:
        for record in records:
            if record.kind == "start":
                runs, first = [], record.step
            elif record.kind == "epoch":
                runs = [line["run"] for line in record.lines]
                for line in record.lines:
                    writer = writers.get(line["run"]) or writers.setdefault(line["run"], begin(line["run"], first))
                    writer.write(record.step, epoch_values(line))
            elif record.kind == "end":
                for number, run in enumerate(runs):
                    rows = [row for row in record.lines if row["number"] == number]
                    writers[run].write(record.step, end_values(rows))
            yield record
    finally:
        records.close()
        for writer in writers.values():
            writer.close()


def tensorboard(records: Records, folder: str | Path) -> Records:
    """Write event files, a folder for each run, below ``folder/tensorboard``: ``tensorboard --logdir FOLDER``.

    Raises:
        ImportError: tensorboard cannot be imported; says how to install it.
    """
    needed("tensorboard", "tensorboard")
    library = needed("torch.utils.tensorboard", "tensorboard")

    class Events:
        def __init__(self, run: str, step: int) -> None:
            place = Path(folder) / "tensorboard" / run.replace("/", " ")
            # what an interrupted training wrote after its checkpoint is hidden
            self.to = library.SummaryWriter(str(place), purge_step=step + 1 if step else None)

        def write(self, step: int, values: Values) -> None:
            for tag, value in values.items():
                self.to.add_scalar(tag, value, step)

        def close(self) -> None:
            self.to.close()

    return _followed(records, Events)


def wandb(records: Records, folder: str | Path) -> Records:
    """Write offline runs below ``folder/wandb``, for ``wandb sync``; the environment's ``WANDB_MODE`` goes before.

    Raises:
        ImportError: wandb cannot be imported; says how to install it.
    """
    library = needed("wandb", "wandb")

    class Offline:
        def __init__(self, run: str, step: int) -> None:
            self.step = step
            mode = os.environ.get("WANDB_MODE", "offline")
            quiet = library.Settings(silent=True)
            how = {"dir": str(folder), "mode": mode, "reinit": "create_new", "settings": quiet}
            self.to = library.init(project=os.environ.get("WANDB_PROJECT", PROJECT), name=run, **how)

        def write(self, step: int, values: Values) -> None:
            self.to.log(values, step=step)

        def close(self) -> None:
            self.to.finish()

    return _followed(records, Offline)


def mlflow(records: Records, folder: str | Path) -> Records:
    """Write runs below ``folder/mlruns``; the environment's ``MLFLOW_TRACKING_URI`` goes before.

    Raises:
        ImportError: mlflow cannot be imported; says how to install it.
    """
    library = needed("mlflow", "mlflow")
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # else it wants a database
    uri = os.environ.get("MLFLOW_TRACKING_URI", (Path(folder).resolve() / "mlruns").as_uri())
    client = library.MlflowClient(tracking_uri=uri)

    class Stored:
        def __init__(self, run: str, step: int) -> None:
            experiment = client.get_experiment_by_name(PROJECT)
            number = client.create_experiment(PROJECT) if experiment is None else experiment.experiment_id
            self.number = client.create_run(number, run_name=run, tags={"first_step": str(step)}).info.run_id

        def write(self, step: int, values: Values) -> None:
            for tag, value in values.items():
                client.log_metric(self.number, tag, value, step=step)

        def close(self) -> None:
            client.set_terminated(self.number)

    return _followed(records, Stored)


TOOLS: Mapping[str, Callable[[Records, str | Path], Records]] = {
    "tensorboard": tensorboard,
    "wandb": wandb,
    "mlflow": mlflow,
}


def tracked(records: Records, folder: str | Path, tools: Sequence[str]) -> Records:
    """Pass records on through some of the `TOOLS`, by name."""
    for tool in tools:
        records = TOOLS[tool](records, folder)
    return records


__all__ = ["TOOLS", "end_values", "epoch_values", "mlflow", "tensorboard", "tracked", "wandb"]
