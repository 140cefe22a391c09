"""Judges the divergence curves in a log: is what peers learn from each other too small, collapsing or growing?

Everything comes from the lines of ``log.jsonl``. The terms besides ``task`` that have a number for each peer are the
imitation; ``edges`` are the divergences KL(p_j || p_i) at T = 1, whatever the method makes of them.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from codistill.analysis.curves import Curve, EpochLine, edge_curves, epoch_lines, finite, ratio, term_curves
from codistill.methods.parts.terms import loss_name
from codistill.spec import Spec

# A term a hundredth as large as the task's moves the weights about a hundredth as far: no run can tell it from none.
TOO_SMALL = 0.01
# At a twentieth of its peak a term no longer has an effect; a task term falls as far by fitting the
# data, so it only counts where the task's own share is several times larger, and where at most a twentieth of the task
# term is left of it: at the end of a sound run on few examples both fall to nearly nothing together.
COLLAPSED = 0.05
FOLLOWS = 5.0
# Peers grow apart somewhat while they fit; three times the early level, and more than the labels say, is another thing.
GROWN = 3.0
# A run that diverges stops within a few epochs; a term that rises all the time to this many task terms is on that way.
RUNAWAY = 30.0
# Below a tenth of what the labels said at the start a term is slight, though it began at 0 (a ramp, a threshold) and
# the labels have been learned by heart.
SLIGHT = 0.1
# What rounding in float32 leaves of a divergence that is 0; peers that start apart have a thousand times as much.
IDENTICAL = 1e-9
FEWEST = 4  # epochs, below which the only warnings are of a runaway and of identical peers
# A divergence this many times the term that is made of it has been divided by something (classes, the batch) or has a
# small weight.
SCALED_DOWN = 10.0

# A selection that keeps fewer than one in a hundred samples, in every epoch, leaves next to nothing to imitate.
FEW_KEPT = 0.01

FIXES = {
    "identical": "build each network with a seed of its own, not by a deep copy, and give no network twice",
    "too small": "raise weight; take the mean over the batch of sums over classes (batchmean), not a mean over classes "
    "too; take the softmax over classes, not over the batch; a high temperature without T^2 shrinks it as well",
    "alike": "not the weight, but how much they differ: give them other networks, own views or other seeds",
    "collapsing": "let them differ more (other networks, own views), lower weight, or train for fewer epochs",
    "few samples": "lower the threshold of select=confident, let peers learn alone first (burn_in), or set select=all",
    "growing": "lower learning_rate or weight, set clip, or ramp the weight up (ramp); check whether one peer diverges",
}


@dataclass(frozen=True)
class Finding:
    """One thing to know about a run's imitation.

    Attributes:
        kind: ``identical``, ``few samples``, ``too small``, ``collapsing``, ``growing`` or ``healthy``.
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


def findings(lines: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """What there is to say of each run, warnings first.

    Args:
        lines: of ``log.jsonl``; those of no epoch are passed over.
    """
    runs: dict[tuple[str, str, int | None], dict[int, EpochLine]] = {}
    for line in epoch_lines(lines):
        runs.setdefault((line.method, line.run, line.seed), {})[line.epoch] = line
    every = [finding for run in runs.values() for finding in _of_run([run[epoch] for epoch in sorted(run)])]
    return sorted(every, key=lambda finding: not finding.warning)


def warnings(lines: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """The findings that ask for a change, one for all seeds of a method."""
    return [finding for finding in merged(findings(lines)) if finding.warning]


def merged(every: Sequence[Finding]) -> list[Finding]:
    """One finding for all seeds that show the same in the same term of a method; the numbers are the first seed's."""
    groups: dict[tuple[str, str, str, str], list[Finding]] = {}
    for finding in every:
        groups.setdefault((finding.kind, finding.method, finding.term, finding.fix), []).append(finding)
    return [
        replace(group[0], seeds=tuple(sorted({s for each in group for s in each.seeds}))) for group in groups.values()
    ]


# One run ------------------------------------------------------------------------------------------------------------


def _of_run(lines: list[EpochLine]) -> list[Finding]:
    run = [line for line in lines if finite(line.task or [math.nan])]
    terms, edges = term_curves(run), edge_curves(run)
    if not terms:
        return []
    equal = [curve for curve in edges if curve.value[0] < IDENTICAL]
    every = [_identical(run[0], equal)] if equal else []
    untaught = {curve.student for curve in edges} - {curve.student for curve in edges if curve not in equal}
    edges = [curve for curve in edges if curve not in equal]
    for term, group in terms.items():
        every += _of_term(run[0], term, [curve for curve in group if curve.student not in untaught], edges)
    covered = {finding.kind for finding in every}
    every += [each for each in _unsound(run[0], "edges", edges) if each.kind not in covered]
    if few := _few_samples(run):  # which explains why a term is too small
        every = [*few, *(each for each in every if each.kind != "too small")]
    return [finding for finding in every if finding.warning] or every


def _of_term(line: EpochLine, term: str, group: list[Curve], edges: list[Curve]) -> list[Finding]:
    small = [curve for curve in group if max(curve.ratios) < TOO_SMALL]
    rest = [curve for curve in group if curve not in small]
    every = _unsound(line, term, rest)
    if rest and not every:
        every = [_healthy(line, term, rest, _of_students(edges, rest))]
    if small and len(small[0].value) >= FEWEST:  # peers begin by agreeing that they do not know
        every.insert(0, _too_small(line, term, small, _of_students(edges, small)))
    return every


def _of_students(edges: list[Curve], group: list[Curve]) -> list[float]:
    """The divergences of the edges into these students."""
    students = {curve.student for curve in group}
    return [value for edge in edges if edge.student in students for value in edge.value]


def collapsing(curve: Curve) -> bool:
    """Ends at a few percent of its peak and of the task term, which kept several times as large a share of its own."""
    peak = curve.value.index(max(curve.value))
    if len(curve.value) < FEWEST or not curve.value[peak] > 0 or curve.ratios[-1] >= COLLAPSED:
        return False
    left = curve.value[-1] / curve.value[peak]
    return left < COLLAPSED and ratio(curve.task[-1], curve.task[peak]) > FOLLOWS * left


def growing(curve: Curve) -> bool:
    """Rises over the second half, to several times its early level and above the task term; or runs away: rises in
    every epoch, however few, to several times its first level and many times the task term.
    """
    value, n = curve.value, len(curve.value)
    rises = all(after > before for before, after in itertools.pairwise(value))
    if value[-1] <= SLIGHT * curve.task[0]:
        return False
    if n > 1 and rises and value[-1] > GROWN * value[0] and curve.ratios[-1] > RUNAWAY:
        return True
    if n < FEWEST:
        return False
    early, third, last = fmean(value[: n // 4]), fmean(value[n // 2 : -(n // 4)]), fmean(value[-(n // 4) :])
    return last > third and last > GROWN * early and last > fmean(curve.task[-(n // 4) :])


# In words -----------------------------------------------------------------------------------------------------------


def _finding(kind: str, line: EpochLine, term: str, group: Sequence[Curve], text: str, fix: str = "") -> Finding:
    epoch = group[0].epochs[0 if kind == "identical" else -1]
    seeds = () if line.seed is None else (line.seed,)
    return Finding(kind, bool(fix), line.method, seeds, term, tuple(curve.who for curve in group), epoch, text, fix)


def _who(group: Sequence[Curve]) -> str:
    if len(group) > 4:
        return f"{len(group)} {'peers' if group[0].source is None else 'edges'} (the first: {group[0].who})"
    return ", ".join(curve.who for curve in group)


def _identical(line: EpochLine, edges: list[Curve]) -> Finding:
    text = (
        f"the divergence of {_who(edges)} is {number(max(c.value[0] for c in edges))} nats in epoch "
        f"{edges[0].epochs[0]}: these are the same weights, so they teach each other nothing"
    )
    return _finding("identical", line, "edges", edges, text, FIXES["identical"])


def _few_samples(run: list[EpochLine]) -> list[Finding]:
    """The peers whose method selects next to no sample, in any epoch."""
    by_peer = list(zip(*(line.kept for line in run if line.kept), strict=True))
    curves = [Curve.of([line for line in run if line.kept], kept, peer) for peer, kept in enumerate(by_peer)]
    if not (few := [curve for curve in curves if max(curve.value) < FEW_KEPT]):
        return []
    spec = Spec.of(run[0].method).options.get("select") or "select"
    most = number(100 * max(max(curve.value) for curve in few))
    text = f"select={spec} keeps at most {most} % of the samples that {_who(few)} could imitate, in every epoch"
    return [_finding("few samples", run[0], "kept", few, text, FIXES["few samples"])]


def _too_small(line: EpochLine, term: str, group: list[Curve], divergences: list[float]) -> Finding:
    """What is too small, and why, as far as the peers' divergence tells."""
    most, value, task, epoch = max(
        each for c in group for each in zip(c.ratios, c.value, c.task, c.epochs, strict=True)
    )
    text = (
        f"the {loss_name(term)} of {_who(group)} is too small to matter: at most {number(100 * most)} % of the task "
        f"loss ({number(value)} beside {number(task)} in epoch {epoch})"
    )
    fix = FIXES["too small"]
    if divergences:
        divergence, size = fmean(divergences), fmean(v for c in group for v in c.value)
        text += f"; the peers' divergence is {number(divergence)} nats on average"
        if size > 0 and divergence > SCALED_DOWN * size:
            text += f", {number(divergence / size)} times the loss that is made of it"
        elif size > 0:
            text += ", so the peers are nearly equal"
            fix = FIXES["alike"]
    return _finding("too small", line, term, group, text, fix)


def _unsound(line: EpochLine, term: str, group: list[Curve]) -> list[Finding]:
    """Curves that collapse, and curves that grow; the numbers are the worst one's."""
    what, every = "divergence" if term == "edges" else loss_name(term), []
    if falling := [curve for curve in group if collapsing(curve)]:
        worst = min(falling, key=lambda c: ratio(c.value[-1], max(c.value)))
        change = _change(worst, worst.value.index(max(worst.value)))
        text = f"the {what} of {_who(falling)} collapses, {change}: the students have become like their sources"
        every.append(_finding("collapsing", line, term, falling, text, FIXES["collapsing"]))
    if rising := [curve for curve in group if growing(curve)]:
        change = _change(max(rising, key=lambda c: c.ratios[-1]), 0)
        text = (
            f"the {what} of {_who(rising)} grows without bound, {change}: peers that overfit disagree ever more, or "
            "one of them diverges"
        )
        every.append(_finding("growing", line, term, rising, text, FIXES["growing"]))
    return every


def _change(curve: Curve, at: int) -> str:
    """From one epoch to the last."""
    return (
        f"from {number(curve.value[at])} in epoch {curve.epochs[at]} to {number(curve.value[-1])} in epoch "
        f"{curve.epochs[-1]} ({curve.who}), while the task loss went from {number(curve.task[at])} to "
        f"{number(curve.task[-1])}"
    )


def _healthy(line: EpochLine, term: str, group: list[Curve], divergences: list[float]) -> Finding:
    means = [fmean(values) for values in zip(*(curve.value for curve in group), strict=True)]
    shares = [fmean(ratios) for ratios in zip(*(curve.ratios for curve in group), strict=True)]
    high = means.index(max(means))
    text = (
        f"the {loss_name(term)} does something: {number(fmean(means))} on average, {number(means[high])} at its "
        f"peak in epoch {group[0].epochs[high]}, {number(means[-1])} at the end; that is "
        f"{number(100 * fmean(shares))} % of the task loss on average, {number(100 * shares[-1])} % at the end"
    )
    if divergences:
        text += (
            f"; the peers' divergence is {number(fmean(divergences))} nats on average (a published study reports "
            "0.1 to 0.3 on images, see docs/text-question.md)"
        )
    return _finding("healthy", line, term, group, text)
