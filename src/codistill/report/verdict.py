"""What the intervals say, in words. Nothing here is fixed text about a method: every sentence is computed."""

from typing import Any

from codistill.report.measures import measure_of, tested
from codistill.report.numbers import count, ends, interval, known, percent, points, times
from codistill.spec import Spec

GAIN, LOSS, UNCLEAR, NONE, BASELINE = "gain", "loss", "unclear", "none", "baseline"


def judge(row: dict[str, Any], baseline: str | None) -> str:
    """``gain`` or ``loss`` where the interval leaves out zero, else ``unclear``; ``none`` without one."""
    if row["method"] == baseline or row.get("alone"):
        return BASELINE
    low, high = ends(row.get("gain_ci95"))
    if low is None or high is None or low == high != 0 or not known(row.get("gain_mean")):
        return NONE
    return GAIN if low > 0 else LOSS if high < 0 else UNCLEAR


def verdict(row: dict[str, Any], summary: dict[str, Any]) -> str:
    """One sentence about a row."""
    kind, gain = judge(row, summary.get("baseline")), row.get("gain_mean")
    if kind == BASELINE:
        return "The baseline."
    if kind == NONE and known(gain):
        n = seeds_of(row)
        why = "one seed gives no interval" if n == 1 else "no interval is known"
        if summary.get("quick"):
            why = "this is a quick look"
        elif known(ends(row.get("gain_ci95"))[0]):
            why = "all seeds gained the same, which gives no interval"
        return f"No verdict: {why}."
    if kind == NONE:
        return "No verdict: not compared with the baseline."
    if kind == UNCLEAR:
        return "No clear difference: the interval includes zero."
    side = "above" if kind == GAIN else "below"
    return f"{kind.capitalize()}: the whole interval lies {side} zero."


def seeds_of(row: dict[str, Any]) -> int:
    """How many seeds the gain is taken over."""
    return len(row.get("gain_per_seed") or ()) or int(row.get("seeds") or 0)


def label_of(row: dict[str, Any]) -> str:
    """What a row is called in tables."""
    return str(row.get("label") or row["method"])


def is_mutual(row: dict[str, Any], baseline: str | None) -> bool:
    """Do its networks learn from one another? Several, and not the baseline's method with an option."""
    alone = Spec.of(baseline).name if baseline else None
    return (row.get("peers") or 1) > 1 and Spec.of(row["method"]).name != alone


def headline(summary: dict[str, Any]) -> list[str]:
    """The first paragraph of a report, sentence by sentence: what mutual learning bought and what it cost."""
    rows, baseline = summary["rows"], summary.get("baseline")
    base = next((row for row in rows if row["method"] == baseline), None)
    mutual = [r for r in rows if is_mutual(r, baseline) and not r.get("same_gradient_as")]
    compared = [r for r in mutual if known(r.get("gain_mean"))]
    said = [
        "In mutual learning several networks train side by side, each from the labels and from what the "
        "others predict; afterwards each can be used by itself."
    ]
    if summary.get("quick"):
        return [*said, "This is a quick look: it shows that all is in place, and its figures mean nothing."]
    if not compared:
        said.append("This report holds no mutual-learning method that was compared with networks trained alone.")
        return said + _others(rows, mutual, baseline)
    compared.sort(key=lambda r: -r["gain_mean"])
    best = next((r for r in compared if judge(r, baseline) == GAIN), None)
    said += _gained(best, base, summary) if best else _not_gained(compared, summary)
    said += _lost([r for r in compared if judge(r, baseline) == LOSS])
    said += _cost(best or compared[0])
    said += _ensemble(best or compared[0])
    return said + _others(rows, mutual, baseline)


def _gained(best: dict[str, Any], base: dict[str, Any] | None, summary: dict[str, Any]) -> list[str]:
    measure = measure_of(summary)
    alone = best.get("alone_mean") if known(best.get("alone_mean")) else measure.mean(base) if base else None
    against = f" instead of {percent(alone)} %" if known(alone) else ""
    return [
        f"The biggest reliable gain here is that of {label_of(best)}: {_on(summary, best)}, one network "
        f"{measure.reached(measure.mean(best))}{against}, a gain of "
        f"{points(best['gain_mean'])} percentage points (95 % interval {interval(best['gain_ci95'])})."
    ]


def _not_gained(compared: list[dict[str, Any]], summary: dict[str, Any]) -> list[str]:
    top = compared[0]
    if ends(top.get("gain_ci95"))[0] is None:
        return [
            f"The biggest measured difference, {_on(summary, top)}, is that of {label_of(top)}: "
            f"{points(top['gain_mean'])} percentage points. {verdict(top, summary)} "
            "It cannot be told from chance."
        ]
    return [
        f"No mutual-learning method gained reliably here: {_on(summary, top)}, the highest mean gain "
        f"is that of {label_of(top)}, {points(top['gain_mean'])} percentage points with the 95 % interval "
        f"{interval(top['gain_ci95'])}."
    ]


def _on(summary: dict[str, Any], row: dict[str, Any]) -> str:
    return f"on {tested(measure_of(summary), summary)} and over {count(seeds_of(row), 'seed')}"


def _lost(rows: list[dict[str, Any]]) -> list[str]:
    return [
        f"{label_of(r)} was reliably worse than training alone: {points(r['gain_mean'])} points "
        f"{interval(r['gain_ci95'])}."
        for r in rows
    ]


def _cost(row: dict[str, Any]) -> list[str]:
    cost = row.get("cost") or {}
    peers = count(int(row.get("peers") or 1), "network")
    said = []
    if known(cost.get("seconds")) and known(cost.get("seconds_per_network")):
        said.append(
            f"In training time the cohort of {peers} cost {times(cost['seconds'])} times one network trained "
            f"alone, {times(cost['seconds_per_network'])} times per network."
        )
    elif known(cost.get("forward")) and known(cost.get("backward")):
        said.append(
            f"The cohort of {peers} cost {times(cost['forward'])} times the forward and "
            f"{times(cost['backward'])} times the backward passes of one network trained alone."
        )
    return said


def _ensemble(row: dict[str, Any]) -> list[str]:
    together, alone = row.get("ensemble_mean"), row.get("ensemble_alone_mean")
    if not known(together):
        return []
    beside = f", as many trained alone {percent(alone)} % (no interval was computed for these two)"
    return [f"Used together as an ensemble, its networks reach {percent(together)} %{beside if known(alone) else ''}."]


def _others(rows: list[dict[str, Any]], mutual: list[dict[str, Any]], baseline: str | None) -> list[str]:
    """A plainer method that does as well is the first thing a reader should know."""
    rest = [r for r in rows if not is_mutual(r, baseline) and judge(r, baseline) == GAIN]
    if not rest:
        return []
    best = max(rest, key=lambda r: float(r["gain_mean"]))
    least = max((float(r["gain_mean"]) for r in mutual if known(r.get("gain_mean"))), default=None)
    than = "" if least is None else " more than any of them," if best["gain_mean"] > least else ""
    return [
        f"Without mutual learning, {label_of(best)} gained{than} {points(best['gain_mean'])} points "
        f"{interval(best['gain_ci95'])}."
    ]
