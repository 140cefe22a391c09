"""What one experiment taught, and several: where peers pay, and where they do not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import stdev

from codistill.report.measures import Measure, measure_of
from codistill.report.numbers import MISSING, interval, percent, points
from codistill.report.opening import opening
from codistill.report.prose import sentences
from codistill.report.table import Cell, Column, Row, Table
from codistill.report.verdict import GAIN, LOSS, NONE, UNCLEAR, is_mutual, is_reliable, judge
from codistill.spec import Spec
from codistill.statistics.interval import Gain, paired_gain
from codistill.statistics.power import detectable_gain
from codistill.study.summary import Summary, SummaryRow


@dataclass(frozen=True)
class Lesson:
    """One experiment.

    Attributes:
        name: of its folder.
        summary: what it found.
    """

    name: str
    summary: Summary

    @property
    def title(self) -> str:
        """Of its chapter."""
        return self.summary.title

    @property
    def measure(self) -> Measure:
        """What it compares."""
        return measure_of(self.summary)

    @property
    def alone(self) -> SummaryRow:
        """The baseline."""
        return self.summary.rows[0]

    @cached_property
    def peers(self) -> SummaryRow | None:
        """The row of largest mean gain whose networks learn from each other."""
        return self._largest(lambda row: is_mutual(row) and not self.is_pooled(row) and row.same_gradient_as is None)

    @cached_property
    def control(self) -> SummaryRow | None:
        """The row of largest mean gain among those without peers."""
        return self._largest(lambda row: not is_mutual(row) and not self.is_pooled(row))

    @cached_property
    def pooled(self) -> SummaryRow | None:
        """The row whose networks have the labels of all, where those of the others are private."""
        return self._largest(self.is_pooled)

    @cached_property
    def ahead(self) -> Gain | None:
        """By how much peers are ahead of a control that gains something, seed by seed; None without one."""
        peers, control = (row.gain if row else None for row in (self.peers, self.control))
        if not peers or not control or control.mean <= 0 or len(peers.per_seed) != len(control.per_seed):
            return None
        ahead = paired_gain([pair] for pair in zip(peers.per_seed, control.per_seed, strict=True))
        return None if self.summary.quick else ahead

    @property
    def verdict(self) -> str:
        """``gain``: peers are reliably ahead of training alone and of the control; ``matched``: of training alone only;
        ``few``: they have too few seeds for that; ``small``: the gain is below what so many seeds detect reliably, so
        that a repetition may well miss it; or what the interval of their gain says.
        """
        kind = judge(self.peers) if self.peers else NONE
        if kind in (GAIN, LOSS) and self.peers and not is_reliable(self.peers):
            return "few"
        if kind == GAIN and self.ahead and not (self.ahead.interval and self.ahead.interval[0] > 0):
            return "matched"
        return "small" if kind == GAIN and self.peers and _mean(self.peers) < self.detected else kind

    @property
    def detected(self) -> float:
        """The true gain of peers that so many seeds, with this spread, see in four repetitions of five."""
        seeds = self.peers.gain.per_seed if self.peers and self.peers.gain else []
        spread = stdev(seeds) if len(seeds) > 1 else 0.0
        return detectable_gain(spread, len(seeds)) if spread else 0.0

    def is_pooled(self, row: SummaryRow) -> bool:
        """Whether a row has all labels in an experiment with private ones."""
        options = Spec.of(row.method.partition(" [")[0]).options
        return "shards" in options and options["shards"] is None

    def sentences(self) -> list[str]:
        """On which data it was, and what it taught, in words."""
        said = opening(self.summary.settings, self.summary.sizes) if self.summary.sizes else []
        return said + sentences("chapter.txt", lesson=self, measure=self.measure)

    def _largest(self, fits: Callable[[SummaryRow], bool]) -> SummaryRow | None:
        gains = [(row.gain.mean, row) for row in self.summary.rows if row.gain and fits(row)]
        return max(gains, key=lambda each: each[0])[1] if gains else None


def lead(lessons: Sequence[Lesson]) -> list[str]:
    """What all experiments taught together: where peers paid, the largest gain first, and where they did not."""
    known = [lesson for lesson in lessons if lesson.peers]
    ordered = sorted(known, key=lambda lesson: _mean(lesson.peers), reverse=True)
    return sentences(
        "chapters.txt",
        quick=any(lesson.summary.quick for lesson in lessons),
        paid=[lesson for lesson in ordered if lesson.verdict == GAIN],
        unpaid=[lesson for lesson in ordered if lesson.verdict not in (GAIN, NONE)],
        unknown=[lesson for lesson in lessons if lesson.verdict == NONE],
        unclear=UNCLEAR,
        judged=len([lesson for lesson in known if lesson.verdict != NONE]),
    )


def lessons_table(lessons: Sequence[Lesson]) -> Table:
    """An experiment a row: what one network does alone, and what was gained over it; pooled labels where they are."""
    columns = [
        Column("Experiment"),
        Column("One network alone, %", "", "Alone, %"),
        Column("Gain with peers, points", "[95 % interval]", "With peers", "gain, points"),
        Column("Gain without peers, points", "[95 % interval]", "Without", "gain, points"),
        Column("Gain with all labels pooled, points", "[95 % interval]", "Pooled", "gain, points"),
    ]
    if not any(lesson.pooled for lesson in lessons):
        columns.pop()
    rows = (_row(lesson, len(columns)) for lesson in lessons)
    return Table("Of each kind of row the one with the largest gain", tuple(columns), tuple(rows))


def _row(lesson: Lesson, columns: int) -> Row:
    gains = map(_gained, (lesson.peers, lesson.control, lesson.pooled))
    cells = (Cell(lesson.title), Cell(percent(lesson.alone.mean)), *gains)
    return Row(cells[:columns], judge(lesson.peers) if lesson.peers else NONE)


def _gained(row: SummaryRow | None) -> Cell:
    if row is None or row.gain is None:
        return Cell(MISSING)
    return Cell(points(row.gain.mean), interval(row.gain.interval) if row.gain.interval else "")


def _mean(row: SummaryRow | None) -> float:
    return row.gain.mean if row and row.gain else 0.0


__all__ = ["Lesson", "lead", "lessons_table"]
