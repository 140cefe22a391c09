"""The rows of a fleet's networks on a part of the data."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor

from codistill.run import Run
from codistill.training import evaluate
from codistill.training.fleet import Fleet
from codistill.training.records import diverged


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
        raise diverged(run, f"peer {lost[0]} predicts nan on the {part} part")
    return {
        "method": run.method,
        "update": run.update,
        "peers": run.peers,
        "seed": run.seed,
        "number": fleet.runs.index(run),
        "part": part,
    }


__all__ = ["results"]
