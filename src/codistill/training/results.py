"""The rows of ``results.jsonl``: every metric of a cohort's outputs, as the folder ``metrics`` describes them."""

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from torch import Tensor

from codistill.data.examples import Retrieval
from codistill.jsonable import to_json
from codistill.metrics import computed_from, described
from codistill.metrics.decisions import class_logits, labelled_decisions
from codistill.metrics.posterior import mean_posterior
from codistill.metrics.retrieval import concatenated, distances, multi_query, retrieval
from codistill.run import Run
from codistill.training.decisions import Decisions
from codistill.training.evaluate import embeddings_of, predictions
from codistill.training.finite import diverged
from codistill.training.fleet import Fleet

Values = dict[str, float]
Matrix = list[list[float | None]]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What every row says.

    Attributes:
        entry: of a study, the name; None in a run of its own.
        method: of the run.
        update: of the run.
        peers: how many networks the run has.
        seed: of the run.
        retraining: of the run, where it is one.
        number: of the run, among those that were trained together.
        part: of the data, ``test`` or ``valid``.
        n: examples, or queries.
    """

    entry: str | None = None
    method: str
    update: str = "together"
    peers: int = 0
    seed: int
    retraining: int | None = None
    number: int = 0
    part: str
    n: int


@dataclass(frozen=True, kw_only=True)
class NetworkResult(Origin):
    """What one network, or an ensemble, is worth.

    Attributes:
        peer: the network's number in its run; None for the ensemble of the first `networks`.
        networks: how many: 1, or those of the ensemble.
        values: every metric by its key.
        model: the network's spec, or the class of one that was given; None for an ensemble, and in older results.
    """

    peer: int | None
    networks: int
    values: Values
    model: str | None = None

    def to_json(self) -> dict[str, object]:
        """A line of ``results.jsonl``."""
        return _flat(self) | self.values


@dataclass(frozen=True, kw_only=True)
class PairsResult(Origin):
    """What a run's networks have in common.

    Attributes:
        matrices: every metric of pairs by its key, ``[P, P]``; None where a number is not finite.
    """

    matrices: dict[str, Matrix]

    def to_json(self) -> dict[str, object]:
        """A line of ``results.jsonl``."""
        return _flat(self) | {"kind": "pairs", "peer": None, "networks": None} | self.matrices


Row = TypeVar("Row", bound=NetworkResult | PairsResult)


def _flat(result: Origin) -> dict[str, object]:
    return {key: value for key, value in to_json(result).items() if not isinstance(value, dict)}


def result_from_json(line: Mapping[str, Any]) -> NetworkResult | PairsResult:
    """A line of ``results.jsonl``, also of a study's, as the row that it was."""
    common = {field.name: line[field.name] for field in fields(Origin) if field.name in line}
    rest = {key: value for key, value in line.items() if key not in (*common, "kind", "peer", "networks", "model")}
    if line.get("kind") == "pairs":
        return PairsResult(**common, matrices=rest)
    return NetworkResult(**common, peer=line["peer"], networks=line["networks"], model=line.get("model"), values=rest)


def results(fleet: Fleet, part: str) -> list[NetworkResult | PairsResult]:
    """The rows of every run on a part of the data (``test``, ``valid``), each seed by itself.

    Embeddings are ranked on the test part of retrieval data; every other part is classified.

    Raises:
        Diverged: a network predicts nan.
    """
    return evaluate(fleet, part)[0]


def evaluate(
    fleet: Fleet, part: str, without: Container[Run] = ()
) -> tuple[list[NetworkResult | PairsResult], dict[int, Decisions]]:
    """As `results`, with what the networks of each run decide, by its number; nothing where embeddings are ranked.

    ``without`` are runs that have diverged.
    """
    rows: list[NetworkResult | PairsResult] = []
    decisions: dict[int, Decisions] = {}
    test, task = fleet.dataset.retrieval, fleet.dataset.task
    if part == "test" and test is not None:
        for run, embeddings in embeddings_of(fleet):
            if run in without:
                continue
            origin = _origin(fleet, run, part, embeddings, int(test.query.sum()))
            rows += named(retrieval_rows(embeddings, test, origin), fleet.names_of(run))
    else:
        for run, logits, labels in predictions(fleet, part):
            if run in without:
                continue
            origin = _origin(fleet, run, part, logits, len(labels))
            rows += named(numbered(rows_of(logits, labels, origin, task), fleet.here(run)), fleet.names_of(run))
            decisions[origin.number] = Decisions.of(logits, labels, task)
    return rows, decisions


def numbered(rows: Sequence[Row], peers: Sequence[int]) -> list[Row]:
    """The rows of some of a run's networks with the networks' numbers in the run."""
    return [
        replace(row, peer=peers[row.peer]) if isinstance(row, NetworkResult) and row.peer is not None else row
        for row in rows
    ]


def named(rows: Sequence[Row], models: Sequence[str]) -> list[Row]:
    """The rows of networks with what each network is."""
    return [
        replace(row, model=models[row.peer]) if isinstance(row, NetworkResult) and row.peer is not None else row
        for row in rows
    ]


def _origin(fleet: Fleet, run: Run, part: str, outputs: Iterable[Tensor], n: int) -> Origin:
    """What every row of a run says, after a check for the NaN of the very last update, which no loss has seen."""
    lost = [peer for peer, output in enumerate(outputs) if output.isnan().any()]
    if lost:
        raise diverged(run, f"peer {lost[0]} predicts nan on the {part} part")
    return Origin(
        method=str(run.method),
        update=run.update,
        peers=run.peers,
        seed=run.seed,
        retraining=run.retraining or None,
        number=fleet.runs.index(run),
        part=part,
        n=n,
    )


def rows_of(logits: Tensor, labels: Tensor, origin: Origin, task: str = "classes") -> list[NetworkResult | PairsResult]:
    """One row per network, one per ensemble of the first k networks, k = 2..P (mean posterior), one of their pairs.

    Args:
        logits: ``[P, N, C]``.
        labels: ``[N]``.
        origin: what every row says.
        task: see `measure_networks`.

    Returns: no row of pairs where there is one network.
    """
    outputs, peers = class_logits(logits, task), len(logits)
    means = [mean_posterior(outputs[:k]).unsqueeze(0) for k in range(2, peers + 1)]
    ensembles = [measure_decisions(mean, labels, task)[0] for mean in means]
    rows = _network_rows(measure_decisions(outputs, labels, task), ensembles, origin)
    pairs = [PairsResult(**vars(origin), matrices=measure_pairs(logits, labels, task))] if peers > 1 else []
    return [*rows, *pairs]


def retrieval_rows(embeddings: list[Tensor], test: Retrieval, origin: Origin) -> list[NetworkResult]:
    """One row per network, and one per ensemble of the first k networks, k = 2..P: their embeddings side by side.

    Args:
        embeddings: of each network, ``[N, D_i]``.
        test: queries and gallery.
        origin: what every row says.
    """
    ensembles = [concatenated(embeddings[:k]) for k in range(2, len(embeddings) + 1)]
    single, together = ([measure_retrieval(each, test) for each in every] for every in (embeddings, ensembles))
    return _network_rows(single, together, origin)


def _network_rows(single: list[Values], ensembles: list[Values], origin: Origin) -> list[NetworkResult]:
    about = vars(origin)
    return [
        *(NetworkResult(**about, peer=i, networks=1, values=values) for i, values in enumerate(single)),
        *(NetworkResult(**about, peer=None, networks=k, values=values) for k, values in enumerate(ensembles, 2)),
    ]


def measure_networks(logits: Tensor, labels: Tensor, task: str = "classes") -> list[Values]:
    """Every metric of each peer: logits ``[P, N, C]``, labels ``[N]`` -> P dicts.

    Where an example has several labels (``[N, C]``), or tokens (``[N, T]``), every decision counts as one example, and
    those at -1 are left out.
    """
    return measure_decisions(class_logits(logits, task), labels, task)


def measure_decisions(outputs: Tensor, labels: Tensor, task: str) -> list[Values]:
    """As `measure_networks`, of what `class_logits` makes of the logits."""
    flat, y = labelled_decisions(outputs, labels)
    inputs = {"decisions": (flat, y)}
    if task == "multilabel":
        inputs["labels"] = (outputs[..., 1] - outputs[..., 0], labels)
    columns = {
        metric.key: metric.value(*inputs[metric.source]).tolist()
        for metric in described()
        if metric.source in inputs and (metric.only is None or metric.only.fits(task, flat.shape[-1], labels))
    }
    return [{key: column[i] for key, column in columns.items()} for i in range(len(outputs))]


def measure_pairs(logits: Tensor, labels: Tensor, task: str = "classes") -> dict[str, Matrix]:
    """How much the peers have in common, matrices ``[P, P]`` as lists.

    None where a number is not finite: a peer that is always right has no error correlation.
    """
    flat, y = labelled_decisions(class_logits(logits, task), labels)
    matrices = {metric.key: metric.value(flat, y).tolist() for metric in computed_from("pairs")}
    return {key: [[v if math.isfinite(v) else None for v in row] for row in m] for key, m in matrices.items()}


def measure_retrieval(embeddings: Tensor, test: Retrieval) -> Values:
    """How well embeddings ``[N, D]`` retrieve images of a query's identity by other cameras.

    The metrics of averaged queries only where an identity has several queries by one camera.
    """
    identity, camera, query = (labels.to(embeddings.device) for labels in (test.identity, test.camera, test.query))
    gallery = embeddings[~query], (identity[~query], camera[~query])
    single = embeddings[query], identity[query], camera[query]
    queries = {"ranking": single, "multi_query": multi_query(*single)}
    if len(queries["multi_query"][0]) == len(single[0]):
        del queries["multi_query"]
    values: Values = {}
    for source, (each, *labels) in queries.items():
        ranking = retrieval(distances(each, gallery[0]), (labels[0], labels[1]), gallery[1])
        values |= {metric.key: metric.value(ranking) for metric in described() if metric.source == source}
    return values
