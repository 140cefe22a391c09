"""Whether a training that came to its end has learnt anything."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

from torch import Tensor

from codistill import files
from codistill.jsonable import from_json, to_json
from codistill.training.decisions import Decisions

EXPLODED = 10.0  # times the loss of guessing
RISEN, RISE = 1.25, 0.1  # times the first epoch's loss, and by at least so many losses of guessing
SURE = 2.0  # standard deviations above the share of the largest class, up to which an accuracy may be chance
NAME = "doubts.json"
KINDS = ("outputs", "exploded", "risen", "chance")


@dataclass(frozen=True)
class Doubt:
    """What speaks against some networks of a run.

    Attributes:
        kind: ``outputs`` that are no logits, a task loss that has ``exploded`` or ``risen``, or ``chance``.
        run: its name.
        number: of the run, among those that were trained together.
        peers: the networks, by their numbers in the run.
        text: what it is, in the worst of them, and what may help.
        value: of the worst, its last task loss; 0 where the doubt is about another thing.
    """

    kind: str
    run: str
    number: int
    peers: tuple[int, ...]
    text: str
    value: float = 0.0

    def __str__(self) -> str:
        return f"{self.run}, {named_peers(self.peers)}: {self.text}"


@dataclass(frozen=True)
class Ended:
    """How a run came to its end.

    Attributes:
        run: its name.
        number: of the run, among those that were trained together.
        first: each peer's task loss in the first epoch; none where that is not known.
        last: in the last epoch.
        normalised: the peers whose outputs are probabilities already, by their numbers.
        decided: what its networks decide; None where embeddings are ranked.
    """

    run: str
    number: int
    first: Sequence[float] = ()
    last: Sequence[float] = ()
    normalised: tuple[int, ...] = ()
    decided: Decisions | None = None


def guessing_costs(task: str, classes: int) -> float:
    """The task loss, in nats, of a network that takes all of the C classes (labels, where they are several) as equally
    likely.
    """
    return classes * math.log(2) if task in ("binary", "multilabel") else math.log(max(classes, 2))


def doubts(ended: Iterable[Ended], guessing: float) -> list[Doubt]:
    """What runs give reason to doubt, kind by kind.

    A task loss has exploded where its mean over the last epoch is above `EXPLODED` times the loss of guessing; it has
    risen where it is clearly above that of the first epoch.

    Args:
        ended: the runs.
        guessing: what `guessing_costs`, in nats.
    """
    runs = list(ended)
    found = [
        doubt
        for run in runs
        for doubt in (_normalised(run), _exploded(run, guessing), _risen(run, guessing), _at_chance(run))
        if doubt is not None
    ]
    return sorted(found, key=lambda doubt: KINDS.index(doubt.kind))


def _normalised(run: Ended) -> Doubt | None:
    text = (
        "the outputs sum to 1 already: return logits, without a softmax at the end, or they are normalised twice and "
        "hardly learn"
    )
    return Doubt("outputs", run.run, run.number, run.normalised, text) if run.normalised else None


def _exploded(run: Ended, guessing: float) -> Doubt | None:
    large = {peer: value for peer, value in enumerate(run.last) if value > EXPLODED * guessing}
    if not large:
        return None
    worst = max(large.values())
    text = (
        f"the task loss ended at {worst:.3g}, and guessing costs {guessing:.3g}: lower learning_rate, or set clip or "
        "warmup"
    )
    return Doubt("exploded", run.run, run.number, tuple(large), text, worst)


def _risen(run: Ended, guessing: float) -> Doubt | None:
    pairs = list(enumerate(zip(run.first, run.last, strict=False)))
    higher = {
        peer: (first, last)
        for peer, (first, last) in pairs
        if last > max(RISEN * first, first + RISE * guessing) and last <= EXPLODED * guessing
    }
    if not higher:
        return None
    first, last = max(higher.values(), key=lambda each: each[1])
    text = (
        f"the task loss ended above where it began, at {last:.3g} after {first:.3g} in the first epoch: lower "
        "learning_rate, or set clip or warmup"
    )
    return Doubt("risen", run.run, run.number, tuple(higher), text, last)


def _at_chance(run: Ended) -> Doubt | None:
    """Networks that are right no more often than by always naming the largest class, as far as chance reaches."""
    if run.decided is None or not len(run.decided.labels):
        return None
    share, spread = _chance(run.decided)
    peers = (_accuracies(run.decided) <= share + SURE * spread).nonzero().flatten().tolist()
    text = f"no better than chance: always naming the largest class is right for {100 * share:.1f} % of the examples"
    return Doubt("chance", run.run, run.number, tuple(peers), text) if peers else None


def above_chance(decided: Decisions | None, peers: int, exploded: Collection[int] = ()) -> list[float]:
    """How far each network's accuracy is above the share of the largest class, in standard deviations of chance.

    Args:
        decided: what the networks of a run decide; where that is unknown, they are taken to have learnt.
        peers: how many they are.
        exploded: those whose loss has exploded, which are left out.
    """
    if decided is None or not len(decided.labels):
        return [math.inf] * (peers - len(exploded))
    share, spread = _chance(decided)
    values = ((_accuracies(decided) - share) / max(spread, 1e-9)).tolist()
    return [value for peer, value in enumerate(values) if peer not in exploded]


def nothing_learnt(above: Sequence[float]) -> bool:
    """Whether no network has learnt anything, by what `above_chance` gives of all of them: each one's loss has
    exploded, or it is no better than chance.

    Neither their mean nor the best of them is then beyond what chance reaches: `SURE` standard deviations for one
    network, and for the best of n what one of n networks surpasses as rarely (Bonferroni).
    """
    if not above:
        return True
    best = -NormalDist().inv_cdf(NormalDist().cdf(-SURE) / len(above))
    return sum(above) / len(above) <= SURE and max(above) <= best


def _chance(decided: Decisions) -> tuple[float, float]:
    """The share of the largest class, and the standard deviation of the accuracy of who always names it."""
    share = decided.labels.long().bincount().max().item() / len(decided.labels)
    return share, math.sqrt(share * (1 - share) / len(decided.labels))


def _accuracies(decided: Decisions) -> Tensor:
    return decided.correct.double().mean(-1)


def named_peers(peers: Sequence[int]) -> str:
    """``peer 0``, ``peers 0 1 3``."""
    return f"peer{'s' if len(peers) > 1 else ''} {' '.join(map(str, peers))}"


def write_doubts(folder: Path, found: Sequence[Doubt]) -> None:
    """``doubts.json`` of a run's folder; no file where there are none."""
    if found:
        files.write_json(folder / NAME, {"doubts": to_json(found)})
    else:
        (folder / NAME).unlink(missing_ok=True)


def read_doubts(folder: Path) -> list[Doubt]:
    """The doubts of a run's folder; none where there is no such file.

    Raises:
        Damaged: names the file.
    """
    path = folder / NAME
    if not path.exists():
        return []
    try:
        return [from_json(Doubt, each) for each in files.read_json(path)["doubts"]]
    except (TypeError, KeyError) as error:
        raise files.Damaged(
            f"{path} is damaged: {files.said(error)}: codistill resume {folder} writes it again"
        ) from error


__all__ = [
    "Doubt",
    "Ended",
    "above_chance",
    "doubts",
    "guessing_costs",
    "named_peers",
    "nothing_learnt",
    "read_doubts",
    "write_doubts",
]
