"""Every metric of a cohort's outputs, as plain numbers; which ones there are, the folder ``metrics`` says."""

import math

from torch import Tensor

from codistill.data.examples import Retrieval
from codistill.metrics import computed_from, described
from codistill.metrics.decisions import class_logits, labelled_decisions
from codistill.metrics.retrieval import distances, multi_query, retrieval

Values = dict[str, float]
Matrix = list[list[float | None]]


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
        if metric.source in inputs and (metric.fits is None or metric.fits(task, flat.shape[-1], labels))
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
