"""Findings about divergence curves, in words: who, the numbers, and what to change."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from codistill.analysis.curves import Curve, EpochLine
from codistill.analysis.rules import ratio

# A divergence this many times the term that is made of it has been divided by something (classes, the batch) or has a
# small weight.
SCALED_DOWN = 10.0
KINDS = ("identical", "too small", "collapsing", "growing", "healthy")

FIXES = {
    "identical": "build each network with a seed of its own, not by a deep copy, and give no network twice",
    "too small": "raise weight; take the mean over the batch of sums over classes (batchmean), not a mean over classes "
    "too; take the softmax over classes, not over the batch; a high temperature without T^2 shrinks it as well",
    "alike": "their weight is not the matter: let them differ (other networks, own views, other seeds)",
    "collapsing": "let them differ more (other networks, own views), lower weight, or train for fewer epochs",
    "growing": "lower learning_rate or weight, set clip, or let the term ramp up; check whether one peer diverges",
}


@dataclass(frozen=True)
class Finding:
    """One thing to know about a run's imitation.

    Attributes:
        kind: one of `KINDS`.
        warning: whether something should be changed.
        method: of the run.
        seeds: of the runs that show it.
        term: its name in the log, or ``edges``.
        peers: the students; for an edge, with their sources.
        epoch: where the numbers are from.
        text: what the curve does, with its numbers.
        fix: what to change; empty where nothing.
    """

    kind: str
    warning: bool
    method: str
    seeds: tuple[int, ...]
    term: str
    peers: tuple[str, ...]
    epoch: int
    text: str
    fix: str = ""

    def sentence(self) -> str:
        """Who, and what the curve does."""
        kind = ", seed " if len(self.seeds) == 1 else ", seeds "
        seeds = kind + ", ".join(map(str, self.seeds)) if self.seeds else ""
        return f"{self.method}{seeds}: {self.text}."

    def __str__(self) -> str:
        return self.sentence() + (f" To change: {self.fix}." if self.fix else "")


def number(x: float) -> str:
    """Two significant figures: 0.1234 -> ``0.12``, 126.3 -> ``126``, 3.2e-5 -> ``3.2e-05``."""
    return f"{x:.0f}" if 99.5 <= abs(x) < 1e6 else f"{x:.2g}"


def _finding(kind: str, line: EpochLine, term: str, group: Sequence[Curve], text: str, fix: str) -> Finding:
    epoch = group[0].epochs[0 if kind == "identical" else -1]
    seeds = () if line.seed is None else (line.seed,)
    return Finding(kind, bool(fix), line.method, seeds, term, tuple(curve.who for curve in group), epoch, text, fix)


def _who(group: Sequence[Curve]) -> str:
    if len(group) > 4:
        return f"{len(group)} {'peers' if group[0].source is None else 'edges'} (the first: {group[0].who})"
    return ", ".join(curve.who for curve in group)


def identical_peers(line: EpochLine, edges: list[Curve]) -> Finding:
    """Edges that are 0 from the start."""
    text = (
        f"the divergence of {_who(edges)} is {number(max(c.value[0] for c in edges))} nats in epoch "
        f"{edges[0].epochs[0]}: these are the same weights, so they teach each other nothing"
    )
    return _finding("identical", line, "edges", edges, text, FIXES["identical"])


def too_small_term(line: EpochLine, term: str, group: list[Curve], edges: list[Curve]) -> Finding:
    """A term that is too small, and why, as far as the peers' divergence tells."""
    best = max((ratio(v, t), v, t, e) for c in group for v, t, e in zip(c.value, c.task, c.epochs, strict=True))
    text = (
        f"the {term} term of {_who(group)} is too small to matter: at most {number(100 * best[0])} % of the task term "
        f"({number(best[1])} beside {number(best[2])} in epoch {best[3]})"
    )
    fix = FIXES["too small"]
    values = [value for curve in edges if curve.student in {c.student for c in group} for value in curve.value]
    if values:
        divergence, size = statistics.fmean(values), statistics.fmean(v for c in group for v in c.value)
        text += f"; the peers' divergence is {number(divergence)} nats on average"
        if size > 0 and divergence > SCALED_DOWN * size:
            text += f", {number(divergence / size)} times the term that is made of it"
        elif size > 0:
            text += ", so the peers are nearly equal"
            fix = FIXES["alike"]
    return _finding("too small", line, term, group, text, fix)


def unsound_curve(kind: str, line: EpochLine, term: str, group: list[Curve]) -> Finding:
    """A term, or edges, that collapse or grow; the numbers are the worst one's."""
    worst = min(group, key=lambda c: ratio(c.value[-1], max(c.value))) if kind == "collapsing" else max(
        group, key=lambda c: ratio(c.value[-1], c.task[-1])
    )  # fmt: skip
    what = "divergence" if term == "edges" else f"{term} term"
    at = worst.value.index(max(worst.value)) if kind == "collapsing" else 0
    change = (
        f"from {number(worst.value[at])} in epoch {worst.epochs[at]} to {number(worst.value[-1])} in epoch "
        f"{worst.epochs[-1]} ({worst.who}), while the task term went from {number(worst.task[at])} to "
        f"{number(worst.task[-1])}"
    )
    if kind == "collapsing":
        text = f"the {what} of {_who(group)} collapses, {change}: the students have become like their sources"
    else:
        text = (
            f"the {what} of {_who(group)} grows without bound, {change}: peers that overfit disagree ever more, or one "
            "of them diverges"
        )
    return _finding(kind, line, term, group, text, FIXES[kind])


def healthy(line: EpochLine, term: str, group: list[Curve], edges: list[Curve]) -> Finding:
    """How large a sound term is."""
    means = [statistics.fmean(c.value[k] for c in group) for k in range(len(group[0].value))]
    ratios = [statistics.fmean(ratio(c.value[k], c.task[k]) for c in group) for k in range(len(means))]
    high = means.index(max(means))
    text = (
        f"the {term} term does something: {number(statistics.fmean(means))} on average, {number(means[high])} at its "
        f"peak in epoch {group[0].epochs[high]}, {number(means[-1])} at the end; that is "
        f"{number(100 * statistics.fmean(ratios))} % of the task term on average, {number(100 * ratios[-1])} % at the "
        "end"
    )
    if edges:
        divergence = statistics.fmean(value for c in edges for value in c.value)
        text += (
            f"; the peers' divergence is {number(divergence)} nats on average (0.1 to 0.3 is what the sentiment study "
            "saw on images)"
        )
    return _finding("healthy", line, term, group, text, "")


__all__ = ["FIXES", "KINDS", "Finding", "healthy", "identical_peers", "number", "too_small_term", "unsound_curve"]
