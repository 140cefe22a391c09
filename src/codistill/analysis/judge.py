"""Judges the divergence curves in a log: is what peers learn from each other too small, collapsing or growing?

Everything comes from the lines of ``log.jsonl``. The terms besides ``task`` that have a number for each peer are the
imitation; ``edges`` are the divergences KL(p_j || p_i) at T = 1, whatever the method makes of them.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from codistill.analysis.curves import Curve, EpochLine, edge_curves, epoch_lines, finite, term_curves
from codistill.analysis.findings import Finding, healthy, identical_peers, too_small_term, unsound_curve
from codistill.analysis.rules import FEWEST, collapsing, growing, identical, too_small


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
    terms = term_curves(run)
    if not terms:
        return []
    edges = edge_curves(run)
    equal = [curve for curve in edges if identical(curve)]
    every = [identical_peers(run[0], equal)] if equal else []
    untaught = {curve.student for curve in edges} - {curve.student for curve in edges if curve not in equal}
    edges = [curve for curve in edges if curve not in equal]
    for term, group in terms.items():
        every += _of_term(run[0], term, [curve for curve in group if curve.student not in untaught], edges)
    covered = {finding.kind for finding in every}
    for kind, rule in (("collapsing", collapsing), ("growing", growing)):
        unsound = [] if kind in covered else [curve for curve in edges if rule(curve)]
        if unsound:
            every.append(unsound_curve(kind, run[0], "edges", unsound))
    return [finding for finding in every if finding.warning] or every


def _of_term(line: EpochLine, term: str, group: list[Curve], edges: list[Curve]) -> Iterator[Finding]:
    small = [curve for curve in group if too_small(curve)]
    if small and len(small[0].value) >= FEWEST:  # peers begin by agreeing that they do not know
        yield too_small_term(line, term, small, edges)
    rest = [curve for curve in group if curve not in small]
    unsound = {"collapsing": [c for c in rest if collapsing(c)], "growing": [c for c in rest if growing(c)]}
    for kind, curves in unsound.items():
        if curves:
            yield unsound_curve(kind, line, term, curves)
    if rest and not any(unsound.values()):
        yield healthy(line, term, rest, [e for e in edges if e.student in {c.student for c in rest}])


__all__ = ["findings", "merged", "warnings"]
