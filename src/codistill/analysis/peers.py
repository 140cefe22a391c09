"""How far peers are from each other over the epochs, from a run's log."""

import statistics
from collections.abc import Iterable
from typing import Any

from codistill.analysis.courses import imitation
from codistill.metrics.interval import mean_sd


def over_epochs(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry per method and epoch, means over seeds and over pairs of peers; what was not logged is null.

    ``divergence`` is the mean KL(p_j || p_i) over all pairs in nats, ``agreement`` the share of samples on which two
    peers choose the same class, ``ratio`` the mean of all imitation terms together beside the task term. The sd is over
    runs and pairs (peers).
    """
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for line in lines:
        if line.get("kind") == "epoch":
            groups.setdefault((str(line.get("method") or line.get("run")), int(line["epoch"])), []).append(line)
    found = []
    for (method, epoch), group in sorted(groups.items(), key=lambda item: item[0][1]):
        values = {
            "divergence": [v for line in group for v in _apart(line.get("edges"))],
            "agreement": [v for line in group for v in _apart(line.get("agree"))],
            "ratio": [v for line in group for v in ratios(line)],
        }
        entry: dict[str, Any] = {"method": method, "epoch": epoch}
        for name, each in values.items():
            mean, sd = mean_sd(each) if each else (None, None)
            entry |= {name: mean, f"{name}_sd": sd if len(each) > 1 else None}
        found.append(entry)
    return found


def ratios(line: dict[str, Any]) -> list[float]:
    """Of each peer, all its imitation terms together beside its task term; empty where there is none."""
    terms, task = imitation(line).values(), (line.get("terms") or {}).get("task") or []
    if not terms:
        return []
    return [sum(values) / task[i] for i, values in enumerate(zip(*terms, strict=True)) if task[i] > 0]


def _apart(matrix: list[list[float]] | None) -> list[float]:
    """All entries off the diagonal."""
    return [v for i, row in enumerate(matrix or []) for j, v in enumerate(row) if i != j]


def ends(entries: Iterable[dict[str, Any]], method: str, name: str) -> tuple[float, float, float] | None:
    """First, mean and last of one method's numbers over the epochs."""
    values = [e[name] for e in entries if e["method"] == method and e[name] is not None]
    return (values[0], statistics.fmean(values), values[-1]) if values else None


__all__ = ["ends", "over_epochs", "ratios"]
