"""A fleet's outputs on a part of the data, and how its predictions differ from another fleet's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from codistill.batch import PerPeer
from codistill.cohort import Cohort
from codistill.cohort.collection import collect, collect_embeddings
from codistill.cohort.groups import rows_of
from codistill.data.examples import Examples
from codistill.data.loader import plain
from codistill.metrics.churn import churn
from codistill.metrics.decisions import class_logits, labelled_decisions
from codistill.run import Run
from codistill.statistics.mcnemar import mcnemar
from codistill.training.fleet import Fleet

BATCH = 16_384  # network passes of one example in a batch, about

Predictions = tuple[Run, Tensor, Tensor]  # a run, its networks' logits [P, N, C], and the labels


@dataclass(frozen=True)
class Change:
    """What changes for a network's users when another one takes its place; see `churn`.

    Attributes:
        run: that the network is of.
        against: the run of the other.
        part: of the data.
        n: examples.
        peer: the number of both in their runs.
        changed: fraction of the decisions that differ.
        lost: fraction that was right and is wrong.
        gained: fraction that was wrong and is right.
        p: exact, of McNemar's test of lost against gained; None where one example is several decisions.
    """

    run: str
    against: str
    part: str
    n: int
    peer: int
    changed: float
    lost: float
    gained: float
    p: float | None


def examples_of(fleet: Fleet, part: str) -> list[Examples]:
    """A part of the data (``test``, ``valid``, ``train``): the same for all seeds, or of each of the fleet's seeds.

    Raises:
        ValueError: it is empty.
    """
    every = [getattr(parts, part).to(fleet.device) for parts in fleet.streams.parts[: 1 if part == "test" else None]]
    if any(len(examples) == 0 for examples in every):
        raise ValueError(
            f"part={part!r} is empty: choose part=test, or set valid, the fraction (or number) of examples to hold out"
        )
    return every


def _inputs(fleet: Fleet, every: Sequence[Examples]) -> Iterator[Tensor | PerPeer]:
    streams, dataset = fleet.streams, fleet.dataset
    size = min(512, max(32, BATCH // len(fleet.cohort)))
    batches = [plain(e.shared(len(every)), mean=dataset.mean, std=dataset.std, batch=size) for e in every]
    seeds = torch.tensor([streams.seeds.index(slot.run.seed) for slot in fleet.slots], device=fleet.device)
    for group in zip(*batches, strict=True):
        x = streams.cast(torch.stack([x for x, _ in group]))
        yield x[0] if len(every) == 1 else PerPeer(x[seeds])


def predictions(fleet: Fleet, part: str, networks: Cohort | None = None) -> list[Predictions]:
    """Every run's logits on a part of the data, and the labels; those of what is delivered, or of other networks.

    Where this is a silo, those of its own network.
    """
    every = examples_of(fleet, part)
    logits = collect(networks or fleet.delivered, _inputs(fleet, every))
    labels = {seed: every[number if len(every) > 1 else 0].y for number, seed in enumerate(fleet.streams.seeds)}
    return [
        (run, rows_of(logits[peers.start : peers.stop], list(fleet.here(run))), labels[run.seed])
        for run, peers in fleet.peers_by_run.items()
    ]


def embeddings_of(fleet: Fleet) -> list[tuple[Run, list[Tensor]]]:
    """Every run, and its networks' embeddings ``[N, D_i]`` of the test part, at the submodule ``run.embedding``."""
    inputs = _inputs(fleet, examples_of(fleet, "test"))
    embeddings = collect_embeddings(fleet.delivered, inputs, fleet.run.embedding)
    return [(run, embeddings[peers.start : peers.stop]) for run, peers in fleet.peers_by_run.items()]


def changes(before: Fleet, after: Fleet, part: str) -> list[Change]:
    """What changes for the users of one fleet's networks when those of another take their place; see `churn`.

    Runs are compared with those of the same seed (a single run with a single one, whatever its seed), and networks with
    those of the same number; those that only one side has are left out.

    Raises:
        ValueError: the test part of retrieval data, no two runs to compare, or other examples.
    """
    if part == "test" and before.dataset.retrieval is not None:
        raise ValueError("part='test' of retrieval data has no classes that could change: choose part=valid")
    old, new = predictions(before, part), predictions(after, part)
    pairs = [(a, b) for a in old for b in new if a[0].seed == b[0].seed or len(old) == len(new) == 1]
    if not pairs:
        raise ValueError("no run of the one has the seed of a run of the other: compare runs of the same seeds")
    return [change for a, b in pairs for change in _changes(a, b, part, before.dataset.task)]


def _changes(before: Predictions, after: Predictions, part: str, task: str) -> Iterator[Change]:
    (run, old, labels), (other, new, other_labels) = before, after
    if old.shape[1:] != new.shape[1:] or not torch.equal(labels, other_labels):
        raise ValueError(
            f"{run.name} and {other.name} have other examples in part={part!r}: compare runs of the same data"
            + (", or part=test" if part == "valid" and run.data == other.data else "")
        )
    peers = min(len(old), len(new))
    outputs = class_logits(torch.stack([old[:peers], new[:peers]]), task)
    (flat_old, flat_new), y = labelled_decisions(outputs, labels)
    shares = [values.tolist() for values in churn(flat_old, flat_new, y)]
    for peer, (changed, lost, gained) in enumerate(zip(*shares, strict=True)):
        p = mcnemar(round(lost * len(y)), round(gained * len(y))) if labels.dim() == 1 else None
        yield Change(run.name, other.name, part, len(labels), peer, changed, lost, gained, p)
