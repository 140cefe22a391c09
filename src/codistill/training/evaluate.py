"""Outputs are collected once; every number is a pure function of them."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from codistill.batch import PerPeer
from codistill.cohort import Cohort, View
from codistill.cohort.embedding import embed
from codistill.cohort.passes import uncounted
from codistill.data.examples import Examples, Retrieval
from codistill.data.loader import plain
from codistill.losses.posterior import log_posterior
from codistill.metrics.accuracy import accuracy
from codistill.metrics.agreement import agreement
from codistill.metrics.calibration import brier, ece, nll
from codistill.metrics.churn import churn
from codistill.metrics.coverage import aurc
from codistill.metrics.detection import f1, f1_labels, mean_average_precision
from codistill.metrics.pairs import error_correlation, js_matrix, kl_matrix
from codistill.metrics.posterior import entropy, mean_posterior
from codistill.metrics.retrieval import concatenated, distances, multi_query, retrieval
from codistill.run import Run
from codistill.training.fleet import Fleet

Row = dict[str, Any]
BATCH = 16_384  # network passes of one example in a batch, about


# Collecting -----------------------------------------------------------------------------------------------------------


@contextmanager
def _evaluating(cohort: Cohort | View) -> Iterator[None]:
    """In eval mode, without gradients; the cohort is as it was afterwards."""
    owner, training = cohort.cohort, cohort.cohort.training
    owner.eval()
    try:
        with torch.no_grad(), uncounted():
            yield
    finally:
        owner.train(training)


def collect(cohort: Cohort | View, inputs: Iterable[Tensor | PerPeer]) -> Tensor:
    """All peers' logits ``[P, N, C]`` in eval mode; the cohort is as it was afterwards."""
    with _evaluating(cohort):
        return torch.cat([cohort(x).logits for x in inputs], dim=1)


def collect_features(cohort: Cohort | View, inputs: Iterable[Tensor | PerPeer], submodule: str) -> list[Tensor]:
    """Each peer's features ``[N, D_i]`` of a submodule (see `embed`), as `collect` collects."""
    with _evaluating(cohort):
        batches = [embed(cohort, x, submodule) for x in inputs]
    return [torch.cat(parts) for parts in zip(*batches, strict=True)]


def examples_of(fleet: Fleet, part: str) -> list[Examples]:
    """A part of the data (``test``, ``valid``, ``train``): the same for all seeds, or of each of the fleet's seeds.

    Raises:
        ValueError: it is empty.
    """
    every = [getattr(parts, part).to(fleet.device) for parts in fleet.streams.parts[: 1 if part == "test" else None]]
    if any(len(examples) == 0 for examples in every):
        raise ValueError(
            f"part={part!r} is empty: choose part=test, or set valid, the part (or number) of examples to hold out"
        )
    return every


def _inputs(fleet: Fleet, every: Sequence[Examples]) -> Iterator[Tensor | PerPeer]:
    streams, dataset = fleet.streams, fleet.dataset
    size = min(512, max(32, BATCH // len(fleet.cohort)))
    batches = [plain(e.shared(len(every)), mean=dataset.mean, std=dataset.std, batch=size) for e in every]
    seeds = torch.tensor([streams.seeds.index(r.seed) for r in fleet.runs for _ in range(r.peers)], device=fleet.device)
    for group in zip(*batches, strict=True):
        x = streams.cast(torch.stack([x for x, _ in group]))
        yield x[0] if len(every) == 1 else PerPeer(x[seeds])


def predictions(fleet: Fleet, part: str) -> list[tuple[Run, Tensor, Tensor]]:
    """Every run, its networks' logits ``[P, N, C]`` on a part of the data, and the labels."""
    every = examples_of(fleet, part)
    logits = collect(fleet.delivered, _inputs(fleet, every))
    place = {seed: 0 if len(every) == 1 else number for number, seed in enumerate(fleet.streams.seeds)}
    return [(run, logits[peers], every[place[run.seed]].y) for run, peers in _blocks(fleet)]


def features(fleet: Fleet) -> list[tuple[Run, list[Tensor]]]:
    """Every run, and its networks' features ``[N, D_i]`` of the test part, at the submodule ``run.embedding``."""
    found = collect_features(fleet.delivered, _inputs(fleet, examples_of(fleet, "test")), fleet.run.embedding)
    return [(run, [found[peer] for peer in peers]) for run, peers in _blocks(fleet)]


def _blocks(fleet: Fleet) -> list[tuple[Run, list[int]]]:
    """Every run and its networks' places in the cohort."""
    return [(run, [m.peers[i] for i in m.block(number)]) for m in fleet.members for number, run in enumerate(m.runs)]


# Measuring ------------------------------------------------------------------------------------------------------------


def _posteriors(logits: Tensor, task: str) -> Tensor:
    """Log-probabilities of one choice each along the last dim, ``[P, N, ..., M]``; a label has the dims before it.

    For choices between classes the logits themselves: every measure takes them. The one logit of a binary task is the
    choice between ``[0, z]``.
    """
    if task == "multilabel":
        return log_posterior(logits, task)
    if task == "binary":
        return log_posterior(logits, task).squeeze(-2)
    return logits


def _choices(outputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs ``[P, n, M]`` and labels ``[n]`` of all single choices that have a label."""
    flat, y = outputs.flatten(1, -2), labels.flatten()
    return (flat, y) if outputs.dim() == 3 else (flat[:, y >= 0], y[y >= 0])


def _measure(outputs: Tensor, labels: Tensor, task: str) -> list[dict[str, float]]:
    flat, y = _choices(outputs, labels)
    columns = {
        "accuracy": accuracy(flat, y),
        "nll": nll(flat, y),
        "ece": ece(flat, y),
        "brier": brier(flat, y),
        "entropy": entropy(flat),
        "aurc": aurc(flat, y),
    }
    if flat.shape[-1] > 5:
        columns["top5"] = accuracy(flat, y, top=5)
    if task == "multilabel":
        odds = outputs[..., 1] - outputs[..., 0]
        if (labels == 1).any():
            columns["map"] = mean_average_precision(odds, labels)
        columns |= {f"f1_{average}": f1_labels(odds, labels, average) for average in ("macro", "micro")}
    elif flat.shape[-1] == 2:
        columns["f1"] = f1(flat, y)
    values = {name: column.tolist() for name, column in columns.items()}
    return [{name: column[i] for name, column in values.items()} for i in range(len(outputs))]


def measure(logits: Tensor, labels: Tensor, task: str = "classes") -> list[dict[str, float]]:
    """Every measure of each peer: logits ``[P, N, C]``, labels ``[N]`` -> P rows. Entropies and NLL in nats.

    ``top5`` where there are more than 5 classes, ``f1`` (of class 1) where there are two. Where an example has several
    labels (``[N, C]``), or tokens (``[N, T]``), every decision counts as one example, and those at -1 are left out;
    several labels have ``map``, ``f1_macro`` and ``f1_micro`` besides.
    """
    return _measure(_posteriors(logits, task), labels, task)


def pairs(logits: Tensor, labels: Tensor, task: str = "classes") -> dict[str, list[list[float | None]]]:
    """What the peers have in common, matrices ``[P, P]`` as lists; ``kl`` is [student, source], as in a graph.

    None where a number is not finite: a peer that is always right has no error correlation.
    """
    flat, y = _choices(_posteriors(logits, task), labels)
    matrices = {
        "agreement": agreement(flat),
        "error_correlation": error_correlation(flat, y),
        "kl": kl_matrix(flat),
        "js": js_matrix(flat),
    }
    return {
        name: [[v if math.isfinite(v) else None for v in row] for row in matrix.tolist()]
        for name, matrix in matrices.items()
    }


def rows(logits: Tensor, labels: Tensor, about: Row, task: str = "classes") -> list[Row]:
    """One row per network, one per ensemble of the first k networks, k = 2..P (mean posterior), one of their pairs.

    Args:
        logits: ``[P, N, C]``.
        labels: ``[N]``.
        about: what every row says besides: method, seed, part.
        task: see `measure`.

    Returns: ``peer`` is None for an ensemble; for the pairs (``kind: pairs``, where there are two peers) ``networks``
        is None too.
    """
    about = {**about, "n": len(labels)}
    outputs = _posteriors(logits, task)
    single = [{**about, "peer": i, "networks": 1, **values} for i, values in enumerate(_measure(outputs, labels, task))]
    ensembles = [
        {**about, "peer": None, "networks": k, **_measure(mean_posterior(outputs[:k]).unsqueeze(0), labels, task)[0]}
        for k in range(2, len(logits) + 1)
    ]
    both = [{**about, "kind": "pairs", "peer": None, "networks": None, **pairs(logits, labels, task)}]
    return single + ensembles + (both if len(logits) > 1 else [])


def changes(before: Fleet, after: Fleet, part: str) -> list[Row]:
    """What changes for the users of one fleet's networks when those of another take their place; see `churn`.

    Runs are compared with those of the same seed (a single run with a single one, whatever its seed), and networks with
    those of the same number; those that only one side has are left out.

    Raises:
        ValueError: an open set's test part, no two runs to compare, or examples that are not the same ones.
    """
    if part == "test" and before.dataset.retrieval is not None:
        raise ValueError("part='test' of an open set has no classes that could change: choose part=valid")
    was, now = predictions(before, part), predictions(after, part)
    pairs = [(a, b) for a in was for b in now if a[0].seed == b[0].seed or len(was) == len(now) == 1]
    if not pairs:
        raise ValueError("no run of the one has the seed of a run of the other: compare runs of the same seeds")
    found = []
    for (run, old, labels), (other, new, others) in pairs:
        if old.shape[1:] != new.shape[1:] or not torch.equal(labels, others):
            raise ValueError(
                f"{run.name} and {other.name} have other examples in part={part!r}: compare runs of the same data"
                + (", or part=test" if part == "valid" and run.data == other.data else "")
            )
        peers, task = min(len(old), len(new)), before.dataset.task
        flat, y = _choices(_posteriors(torch.stack([old[:peers], new[:peers]]).flatten(0, 1), task), labels)
        shares = churn(flat[:peers], flat[peers:], y)
        about = {"run": run.name, "against": other.name, "part": part, "n": len(labels)}
        columns = {name: values.tolist() for name, values in shares._asdict().items()}
        found += [{**about, "peer": i, **{name: v[i] for name, v in columns.items()}} for i in range(peers)]
    return found


# Searching ------------------------------------------------------------------------------------------------------------


def search(found: Tensor, told: Retrieval) -> dict[str, float | int]:
    """How well features ``[N, D]`` find an identity again, seen by another camera.

    Returns: ``map`` (mean of the precisions at the hits), ``map_trapezoid`` (Market-1501's own form), ``cmc1``,
        ``cmc5``, ``cmc10``, ``queries`` that have a match; ``map_multi`` and ``cmc1_multi`` with the mean of the
        queries of one identity and camera, where there are several of one.
    """
    identity, camera, query = (labels.to(found.device) for labels in (told.identity, told.camera, told.query))
    gallery = identity[~query], camera[~query]
    single = found[query], identity[query], camera[query]

    def ranked(features: Tensor, *labels: Tensor) -> Any:
        return retrieval(distances(features, found[~query]), (labels[0], labels[1]), gallery)

    ranking = ranked(*single)
    cmc = dict(zip(("cmc1", "cmc5", "cmc10"), ranking.cmc.tolist(), strict=True))
    values = {"map": ranking.mean_ap, "map_trapezoid": ranking.trapezoid, **cmc, "queries": ranking.queries}
    several = multi_query(*single)
    if len(several[0]) < len(single[0]):
        ranking = ranked(*several)
        values |= {"map_multi": ranking.mean_ap, "cmc1_multi": float(ranking.cmc[0])}
    return values


def search_rows(found: Sequence[Tensor], told: Retrieval, about: Row) -> list[Row]:
    """One row per network, and one per ensemble of the first k networks, k = 2..P: their features side by side.

    Args:
        found: of each network, ``[N, D_i]``.
        told: what is searched for among what.
        about: what every row says besides: method, seed, part.
    """
    about = {**about, "n": int(told.query.sum())}
    single = [{**about, "peer": i, "networks": 1, **search(f, told)} for i, f in enumerate(found)]
    ensembles = [
        {**about, "peer": None, "networks": k, **search(concatenated(found[:k]), told)}
        for k in range(2, len(found) + 1)
    ]
    return single + ensembles
