"""What a network's outputs are worth, one idea to a file.

Pure functions of logits ``[..., N, C]`` and labels ``[N]``. Leading dims (peers, runs) stay: the answer has
shape ``[...]``. Log-probabilities will do for logits, so the log posterior of an ensemble or of a one-logit
model (`codistill.losses.posterior.log_posterior`) fits in too.

A file's ``METRICS`` describe those of its functions that evaluation calls; `described` reads them from the folder, and
results, summaries, tables and `docs/evaluation.md` are made from what it finds.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NamedTuple

from torch import Tensor

Source = Literal["decisions", "labels", "ranking", "multi_query", "pairs"]
SOURCES: tuple[Source, ...] = ("decisions", "labels", "ranking", "multi_query", "pairs")
BETTER = ("higher", "lower", "")


class Only(NamedTuple):
    """Which data have a metric: in words, and as a function of the task, the number of classes M and the labels."""

    where: str
    fits: Callable[[str, int, Tensor], bool]


@dataclass(frozen=True)
class Metric:
    """One number that evaluation computes.

    Attributes:
        key: in ``results.jsonl``.
        value: the function of what `source` says; peers are its leading dim.
        order: among the keys of one source, and of a summary; any number.
        about: what it is, for the documentation.
        better: ``higher`` or ``lower``; empty where neither is.
        title: of its column in printed tables.
        tables: those that have the column, of ``classes``, ``labels``, ``retrieval``, separated by spaces.
        unit: ``fraction`` (printed as percent), ``nats`` or anything else.
        source: ``decisions``, every labelled decision as one among M classes (logits ``[P, n, M]``, labels ``[n]`` ->
            ``[P]``); ``labels``, several labels each (log-odds ``[P, N, C]``, labels ``[N, C]`` -> ``[P]``);
            ``ranking`` and ``multi_query``, a `metrics.retrieval.Ranking` of single or of averaged queries -> a number;
            ``pairs``, as decisions, -> ``[P, P]``.
        only: which data have it; None: all of its source.
    """

    key: str
    value: Callable[..., Any]
    order: int
    about: str
    better: Literal["higher", "lower", ""] = ""
    title: str = ""
    tables: str = ""
    unit: str = "fraction"
    source: Source = "decisions"
    only: Only | None = None


def unlabelled(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """A function of logits as one of logits and labels."""
    return lambda logits, labels: function(logits)


@cache
def described() -> tuple[Metric, ...]:
    """Every metric that a file of this folder describes: by source, then in its order."""
    modules = [importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    metrics = [metric for module in modules for metric in getattr(module, "METRICS", ())]
    return tuple(sorted(metrics, key=lambda metric: (SOURCES.index(metric.source), metric.order)))


def computed_from(source: Source) -> list[Metric]:
    """The metrics of one source."""
    return [metric for metric in described() if metric.source == source]


def columns(table: str) -> list[Metric]:
    """The metrics that have a column in a printed table, those where higher is better first."""
    shown = [metric for metric in described() if table in metric.tables.split()]
    return sorted(shown, key=lambda metric: BETTER.index(metric.better))


def averaged() -> list[str]:
    """The keys of whatever a summary averages over networks: all that are no matrix and no count."""
    single = [metric for metric in described() if metric.source != "pairs" and metric.unit != "count"]
    return list(dict.fromkeys(metric.key for metric in sorted(single, key=lambda metric: metric.order)))
