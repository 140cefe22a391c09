"""Whether a training that came to its end has learnt anything."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from codistill.training.decisions import Decisions

EXPLODED = 10.0  # times the loss of guessing, ln C nats
SURE = 2.0  # standard deviations above the share of the largest class, up to which an accuracy may be chance


@dataclass(frozen=True)
class Doubt:
    """What speaks against a training.

    Attributes:
        text: a sentence.
        nothing: whether no network of it has learnt anything.
    """

    text: str
    nothing: bool = False


def doubts(lines: Iterable[Mapping[str, Any]], decided: Mapping[int, Decisions], classes: int) -> list[Doubt]:
    """What the last lines of a log and the decisions of the networks give reason to doubt.

    Args:
        lines: of the last epoch, one for each run.
        decided: by the number of the run.
        classes: C; 1 where binary.
    """
    return [*_exploded(lines, classes), *_at_chance(decided)]


def _exploded(lines: Iterable[Mapping[str, Any]], classes: int) -> list[Doubt]:
    guessing = math.log(max(classes, 2))
    return [
        Doubt(
            f"{line['run']}: the task term of peer {peer} ended at {value:.3g}, and guessing among {max(classes, 2)} "
            f"classes costs {guessing:.3g}: lower learning_rate, or set clip or warmup"
        )
        for line in lines
        for peer, value in enumerate(line["terms"].get("task", ()))
        if value > EXPLODED * guessing
    ]


def _at_chance(decided: Mapping[int, Decisions]) -> list[Doubt]:
    """Networks that are right no more often than by always saying the largest class, as far as chance reaches."""
    found, networks, best = 0, 0, 0.0
    for each in decided.values():
        if not len(each.labels):
            continue
        best = each.labels.long().bincount().max().item() / len(each.labels)
        bound = best + SURE * math.sqrt(best * (1 - best) / len(each.labels))
        accuracies = each.correct.float().mean(-1)
        networks += len(accuracies)
        found += int((accuracies <= bound).sum())
    if not found:
        return []
    which = "no network is" if found == networks else f"{found} of {networks} networks are not"
    return [Doubt(f"{which} better than chance (the largest class is {best:.1%} of the examples)", found == networks)]


__all__ = ["Doubt", "doubts"]
