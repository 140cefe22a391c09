"""What the intervals say, in words. Nothing here is fixed text about a method: every sentence is computed."""

from collections.abc import Sequence
from math import isfinite

from codistill.report.measures import measure_of
from codistill.report.opening import opening
from codistill.report.power import after
from codistill.report.prose import sentences
from codistill.spec import Spec
from codistill.statistics.holm import holm
from codistill.statistics.interval import paired_p
from codistill.study.rows import BASELINE as ALONE
from codistill.study.summary import Summary, SummaryRow

ERROR = 0.05  # of tables without any gain, so many may claim one
FEWEST_SEEDS = 5  # of an interval that is called reliable
GAIN, LOSS, UNCLEAR, NONE, BASELINE = "gain", "loss", "unclear", "none", "baseline"


def judge(row: SummaryRow) -> str:
    """``gain`` or ``loss`` where the interval leaves out zero, else ``unclear``; ``none`` without one."""
    if row.alone:
        return BASELINE
    if row.gain is None or row.gain.interval is None:
        return NONE
    low, high = row.gain.interval
    if low == high != 0:
        return NONE
    return GAIN if low > 0 else LOSS if high < 0 else UNCLEAR


def p_values(summary: Summary) -> dict[str, tuple[float, float]]:
    """Of every row that is judged, by its method: its p-value among the table's rows (Holm's), and by itself."""
    judged = [row for row in summary.rows if judge(row) in (GAIN, LOSS, UNCLEAR)]
    single = {row.method: paired_p(row.gain.per_seed) for row in judged if row.gain}
    single = {method: p for method, p in single.items() if isfinite(p)}
    return {method: (p, single[method]) for method, p in zip(single, holm(list(single.values())), strict=True)}


def verdict(row: SummaryRow, quick: bool = False, p: float | None = None) -> str:
    """A sentence about a row; a second one where `p`, its p-value among the table's rows, is above 0.05."""
    kind = judge(row)
    if kind == BASELINE:
        return "The baseline."
    if kind == UNCLEAR:
        return "No clear difference: the interval includes zero."
    if kind != NONE:
        said = f"{kind.capitalize()}: the whole interval lies {'above' if kind == GAIN else 'below'} zero."
        if not is_reliable(row):
            said += f" {row.seeds} seeds are too few to rely on it."
        return f"{said} Among so many rows it may be chance." if p is not None and p > ERROR else said
    if row.gain is None:
        return "No verdict: not compared with the baseline."
    if quick:
        return "No verdict: this is a quick look."
    if row.gain.interval is not None:
        return "No verdict: all seeds gained the same, which gives no interval."
    return f"No verdict: {'one seed gives no interval' if row.seeds == 1 else 'no interval is known'}."


def is_mutual(row: SummaryRow) -> bool:
    """Whether its networks learn from one another: several, and not the baseline's method with an option."""
    return row.peers > 1 and Spec.of(row.method).name != ALONE


def headline(summary: Summary) -> list[str]:
    """The first paragraph of a report, sentence by sentence: on which data, what mutual learning bought, what it cost.

    A loss of a cohort's better network or of its ensemble is said first, then what became of each kind of network. A
    method without mutual learning that does as well is named too: it is plainer.
    """
    said = opening(summary.settings, summary.sizes) if summary.sizes else []
    return [*said, *_sentences(summary)]


def verdict_of(summary: Summary) -> list[str]:
    """The sentences of the headline that say what was found, without what mutual learning is."""
    return _sentences(summary)[1:]


def _sentences(summary: Summary) -> list[str]:
    """Those of the template: what mutual learning is, and what was found here."""
    p = p_values(summary)

    def reliable(row: SummaryRow, kind: str) -> bool:
        return is_reliable(row) and judge(row) == kind and p.get(row.method, (0.0,))[0] <= ERROR

    mutual = [row for row in summary.rows if is_mutual(row) and row.same_gradient_as is None and row.gain]
    compared = sorted(mutual, key=_mean_gain, reverse=True)
    plain = [row for row in summary.rows if row.gain and not is_mutual(row) and reliable(row, GAIN)]
    cohorts = [] if summary.quick else _cohorts(mutual)
    return sentences(
        "headline.txt",
        summary=summary,
        measure=measure_of(summary),
        baseline=next((row.mean for row in summary.rows if row.method == summary.baseline), None),
        compared=compared,
        gained=[row for row in compared if reliable(row, GAIN)],
        lost=[row for row in compared if reliable(row, LOSS)],
        hurt=[rows[0] for rows in cohorts if judge(rows[0]) == LOSS],
        poorer=[rows[0] for rows in cohorts if _is_poorer(rows[0])],
        mixed=[rows for rows in cohorts if len(rows) > 1],
        few=bool(compared) and judge(compared[0]) in (GAIN, LOSS) and not is_reliable(compared[0]),
        chance=bool(compared) and judge(compared[0]) == GAIN,
        plain=max(plain, key=_mean_gain, default=None),
        verdict=verdict,
        judge=judge,
        fewest=FEWEST_SEEDS,
        power=after(summary),
    )


def is_reliable(row: SummaryRow) -> bool:
    """Whether it has seeds enough for its interval to be called reliable."""
    return row.seeds >= FEWEST_SEEDS


def _cohorts(rows: Sequence[SummaryRow]) -> list[list[SummaryRow]]:
    """The rows of each cohort, of which unlike networks have one each: the network that is best when alone first."""
    found: dict[str, list[SummaryRow]] = {}
    for row in rows:
        found.setdefault(row.method.partition(" [")[0], []).append(row)
    return [sorted(each, key=lambda row: -(row.alone_mean or 0.0)) for each in found.values()]


def _is_poorer(row: SummaryRow) -> bool:
    """Whether a cohort's ensemble is worse than that of its networks trained alone."""
    return row.ensemble is not None and row.ensemble.alone is not None and row.ensemble.mean < row.ensemble.alone


def _mean_gain(row: SummaryRow) -> float:
    return row.gain.mean if row.gain else 0.0
