"""Precision and recall: F1, and average precision, for two classes or several labels each.

Average precision is scikit-learn's, which the quick start needs already; torchmetrics would be a dependency more for
the same numbers.
"""

from functools import partial

import torch
from torch import Tensor

from codistill.metrics import Metric, Only
from codistill.metrics.labels import check

AVERAGES = {"macro": (-2,), "micro": (-2, -1)}  # dims of the decisions that are counted together


def f1(logits: Tensor, labels: Tensor) -> Tensor:
    """F1 = 2 tp / (2 tp + fp + fn) of class 1 of two: ``[..., N, 2]``, ``[N]`` -> ``[...]``; 0 where it is 0 / 0.

    Class 1 is predicted where its logit is the higher one; not where the two are equal, as in argmax, and not where
    a logit is NaN.

    Raises:
        ValueError: shapes or labels that do not fit; other than two classes.
    """
    check(logits, labels)
    if logits.shape[-1] != 2:
        raise ValueError(f"f1 is for 2 classes, the logits have {logits.shape[-1]}: use f1_labels for several labels")
    return _f1(logits[..., 1] - logits[..., 0], labels, (-1,))


def f1_labels(logits: Tensor, labels: Tensor, average: str = "macro") -> Tensor:
    """F1 where an example has several labels: ``[..., N, C]``, ``[N, C]`` of 0 and 1 -> ``[...]``.

    Args:
        logits: log-odds of each label; above 0 it is predicted.
        labels: -1 where it is not known: that decision is left out; NaN where nothing is known.
        average: ``macro``, the mean of the labels' F1 (0 for a label that is neither there nor predicted, as in
            scikit-learn), or ``micro``, the F1 of all decisions together.

    Raises:
        ValueError: shapes or labels that do not fit; an unknown average.
    """
    _check_labels(logits, labels)
    if average not in AVERAGES:
        raise ValueError(f"average={average!r}: choose one of {', '.join(AVERAGES)}")
    value = _f1(logits, labels, AVERAGES[average])
    return value.nanmean(-1) if average == "macro" else value


def mean_average_precision(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the labels of the average precision of their ranking: ``[..., N, C]``, ``[N, C]`` -> ``[...]``.

    AP = sum_n (R_n - R_{n-1}) P_n over the thresholds, without interpolation. A label that no example has is left
    out; NaN where there is none at all, or a logit is NaN.

    Args:
        logits: anything that ranks the examples of each label.
        labels: 0 and 1; -1 where it is not known: that example is left out of the label's ranking.

    Raises:
        ValueError: shapes or labels that do not fit.
    """
    _check_labels(logits, labels)
    values = []
    for scores in logits.reshape(-1, *labels.shape):
        triples = zip(labels.T, scores.T, (labels >= 0).T, strict=True)
        each = [_average_precision(y[k], z[k]) for y, z, k in triples if (y == 1).any()]
        values.append(sum(each) / len(each) if each else torch.nan)
    dtype = torch.promote_types(logits.dtype, torch.float32)
    return torch.tensor(values, dtype=dtype, device=logits.device).reshape(logits.shape[:-2])


def _f1(logits: Tensor, labels: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Of the decisions along these dims whose label is known; NaN where there are none."""
    known = labels >= 0
    predicted, true = (logits > 0) & known, labels == 1
    hits = (predicted & true).sum(dims).to(torch.promote_types(logits.dtype, torch.float32))
    f1 = 2 * hits / (predicted.sum(dims) + true.sum(dims))
    return f1.nan_to_num(0.0).where(known.any(dims), torch.nan)


def _average_precision(labels: Tensor, scores: Tensor) -> float:
    from sklearn.metrics import average_precision_score

    if scores.isnan().any():
        return torch.nan
    highest = torch.finfo(scores.dtype).max
    return float(average_precision_score(labels.cpu().numpy(), scores.clamp(-highest, highest).cpu().numpy()))


def _check_labels(logits: Tensor, labels: Tensor) -> None:
    if logits.dim() < 2 or logits.shape[-2:] != labels.shape:
        raise ValueError(
            f"logits {list(logits.shape)} and labels {list(labels.shape)} do not fit: give [..., N, C], [N, C]"
        )
    if labels.numel() and not -1 <= int(labels.min()) <= int(labels.max()) <= 1:
        raise ValueError(f"labels run from {int(labels.min())} to {int(labels.max())}: give 0, 1, or -1 for unknown")


_two = Only("two classes, or one logit", lambda task, classes, labels: task != "multilabel" and classes == 2)
_known = Only("several labels", lambda task, classes, labels: bool((labels == 1).any()))
_labels = partial(Metric, better="higher", tables="labels", source="labels")
METRICS = (
    Metric("f1", f1, 80, "2 tp / (2 tp + fp + fn) of class 1", "higher", "F1", "classes", only=_two),
    _labels(
        "map", mean_average_precision, 0, "mean over the labels of their average precision", title="mAP", only=_known
    ),
    _labels("f1_macro", f1_labels, 90, "mean of the labels' F1", title="F1 macro"),
    _labels("f1_micro", partial(f1_labels, average="micro"), 91, "F1 of all decisions together", title="F1 micro"),
)
