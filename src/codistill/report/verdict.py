"""What the intervals say, in words. Nothing here is fixed text about a method: every sentence is computed."""

from collections.abc import Sequence

from codistill.metrics.interval import Gain
from codistill.report.measures import measure_of
from codistill.report.numbers import count, interval, percent, points, times
from codistill.spec import Spec
from codistill.study.entries import BASELINE as ALONE
from codistill.study.summary import Cost, Ensemble, Summary, SummaryRow

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


def verdict(row: SummaryRow, quick: bool = False) -> str:
    """One sentence about a row."""
    kind = judge(row)
    if kind == BASELINE:
        return "The baseline."
    if kind == UNCLEAR:
        return "No clear difference: the interval includes zero."
    if kind != NONE:
        return f"{kind.capitalize()}: the whole interval lies {'above' if kind == GAIN else 'below'} zero."
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
    """The first paragraph of a report, sentence by sentence: what mutual learning bought and what it cost."""
    mutual = [row for row in summary.rows if is_mutual(row) and row.same_gradient_as is None]
    compared = sorted(((row, row.gain) for row in mutual if row.gain), key=lambda pair: -pair[1].mean)
    said = [
        "In mutual learning several networks train side by side, each from the labels and from what the "
        "others predict; afterwards each can be used by itself."
    ]
    if summary.quick:
        return [*said, "This is a quick look: it shows that all is in place, and its figures mean nothing."]
    if not compared:
        said.append("This report holds no mutual-learning method that was compared with networks trained alone.")
        return said + _others(summary.rows, mutual)
    best = next(((row, gain) for row, gain in compared if judge(row) == GAIN), None)
    said.append(_gained(*best, summary) if best else _not_gained(*compared[0], summary))
    said += [
        f"{row.label} was reliably worse than training alone: {_points(gain)}."
        for row, gain in compared
        if judge(row) == LOSS
    ]
    row, _ = best or compared[0]
    said += [_cost(row.cost, row.peers), *([_ensemble(row.ensemble)] if row.ensemble else [])]
    return said + _others(summary.rows, mutual)


def _points(gain: Gain) -> str:
    return f"{points(gain.mean)} points {interval(gain.interval)}"


def _gained(row: SummaryRow, gain: Gain, summary: Summary) -> str:
    base = next((r.mean for r in summary.rows if r.method == summary.baseline), None)
    alone = base if row.alone_mean is None else row.alone_mean
    against = f" instead of {percent(alone)} %" if alone is not None else ""
    return (
        f"The biggest reliable gain here is that of {row.label}: {_on(summary, row)}, one network "
        f"{measure_of(summary).reached(row.mean)}{against}, a gain of {points(gain.mean)} percentage points "
        f"(95 % interval {interval(gain.interval)})."
    )


def _not_gained(row: SummaryRow, gain: Gain, summary: Summary) -> str:
    if gain.interval is None:
        return (
            f"The biggest measured difference, {_on(summary, row)}, is that of {row.label}: {points(gain.mean)} "
            f"percentage points. {verdict(row)} It cannot be told from chance."
        )
    return (
        f"No mutual-learning method gained reliably here: {_on(summary, row)}, the highest mean gain is that of "
        f"{row.label}, {points(gain.mean)} percentage points with the 95 % interval {interval(gain.interval)}."
    )


def _on(summary: Summary, row: SummaryRow) -> str:
    return f"on {measure_of(summary).tested(summary.n_test)} and over {count(row.seeds, 'seed')}"


def _cost(cost: Cost, peers: int) -> str:
    cohort = f"cohort of {count(peers, 'network')}"
    if cost.seconds is not None:
        return (
            f"In training time the {cohort} cost {times(cost.seconds)} times one network trained alone, "
            f"{times(cost.seconds_per_network)} times per network."
        )
    return (
        f"The {cohort} cost {times(cost.forward)} times the forward and {times(cost.backward)} times the backward "
        "passes of one network trained alone."
    )


def _ensemble(ensemble: Ensemble) -> str:
    alone = f", as many trained alone {percent(ensemble.alone)} % (no interval was computed for these two)"
    beside = alone if ensemble.alone is not None else ""
    return f"Used together as an ensemble, its networks reach {percent(ensemble.mean)} %{beside}."


def _others(rows: Sequence[SummaryRow], mutual: Sequence[SummaryRow]) -> list[str]:
    """A plainer method that does as well is the first thing a reader should know."""
    others = [(row, row.gain) for row in rows if row.gain and not is_mutual(row) and judge(row) == GAIN]
    if not others:
        return []
    best, gain = max(others, key=lambda pair: pair[1].mean)
    least = max((row.gain.mean for row in mutual if row.gain), default=None)
    than = "" if least is None else " more than any of them," if gain.mean > least else ""
    return [f"Without mutual learning, {best.label} gained{than} {_points(gain)}."]
