"""The KL watch: is what peers learn from each other too small, dying out, out of hand, or nothing at all?

Everything comes from the lines of ``log.jsonl``. The terms besides ``task`` that have a number for each peer are the
imitation; ``edges`` are the divergences KL(p_j || p_i) at T = 1, whatever the method makes of them.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from codistill.analysis.courses import Course, Line, edge_courses, numbers, term_courses
from codistill.analysis.finding import Finding, of_course, of_healthy, of_identical, of_small
from codistill.analysis.rules import FEWEST, collapsing, growing, identical, too_small


def findings(lines: Iterable[Line]) -> list[Finding]:
    """What there is to say of each run, warnings first.

    Args:
        lines: of ``log.jsonl``; those that are no epoch's are passed over.
    """
    runs: dict[tuple[Any, ...], dict[int, Line]] = {}
    for line in lines:
        if line.get("kind") == "epoch":
            who = tuple(line.get(key) for key in ("method", "run", "seed"))
            runs.setdefault(who, {})[int(line["epoch"])] = line
    found = [one for run in runs.values() for one in _of_run([run[epoch] for epoch in sorted(run)])]
    return sorted(found, key=lambda one: not one.warning)


def warnings(lines: Iterable[Line]) -> list[Finding]:
    """The findings that ask for a change, one for all seeds of a method."""
    return [one for one in merged(findings(lines)) if one.warning]


def merged(found: Sequence[Finding]) -> list[Finding]:
    """One finding for all seeds that show the same in the same term of a method; the numbers are the first seed's."""
    groups: dict[tuple[str, str, str, str], list[Finding]] = {}
    for one in found:
        groups.setdefault((one.kind, one.method, one.term, one.fix), []).append(one)
    return [
        replace(group[0], seeds=tuple(sorted({s for one in group for s in one.seeds}))) for group in groups.values()
    ]


# One run ------------------------------------------------------------------------------------------------------------


def _of_run(run: list[Line]) -> list[Finding]:
    run = [line for line in run if numbers((line.get("terms") or {}).get("task") or [math.nan])]
    courses = term_courses(run)
    if not courses:
        return []
    edges = edge_courses(run)
    equal = [course for course in edges if identical(course)]
    found = [of_identical(run[0], equal)] if equal else []
    untaught = {course.student for course in edges} - {course.student for course in edges if course not in equal}
    edges = [course for course in edges if course not in equal]
    for term, group in courses.items():
        found += _of_term(run[0], term, [course for course in group if course.student not in untaught], edges)
    covered = {one.kind for one in found}
    for kind, rule in (("collapsing", collapsing), ("growing", growing)):
        hit = [] if kind in covered else [course for course in edges if rule(course)]
        if hit:
            found.append(of_course(kind, run[0], "edges", hit))
    if any(one.warning for one in found):
        found = [one for one in found if one.warning]
    return found


def _of_term(line: Line, term: str, group: list[Course], edges: list[Course]) -> Iterator[Finding]:
    small = [course for course in group if too_small(course)]
    if small and len(small[0].value) >= FEWEST:  # peers begin by agreeing that they do not know
        yield of_small(line, term, small, edges)
    rest = [course for course in group if course not in small]
    hits = {"collapsing": [c for c in rest if collapsing(c)], "growing": [c for c in rest if growing(c)]}
    for kind, hit in hits.items():
        if hit:
            yield of_course(kind, line, term, hit)
    if rest and not any(hits.values()):
        yield of_healthy(line, term, rest, [e for e in edges if e.student in {c.student for c in rest}])


__all__ = ["findings", "merged", "warnings"]
