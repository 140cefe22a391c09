"""The rows of the results table, as text, for the terminal and the page alike."""

from dataclasses import dataclass
from typing import Any

from codistill.report.measures import OPEN_SET, Measure, is_search, measure_of
from codistill.report.numbers import MISSING, ends, interval, known, listed, percent, points, times
from codistill.report.verdict import judge, label_of, seeds_of, verdict

MARK = "†"


@dataclass(frozen=True)
class Column:
    """A title and what stands under it, short for the terminal, long for the page."""

    short: str
    short_detail: str
    long: str
    long_detail: str


@dataclass(frozen=True)
class Cell:
    """A value and, below it, what qualifies it."""

    main: str
    detail: str = ""


@dataclass(frozen=True)
class Line:
    """One method: its cells in the order of `columns`, and what its interval says."""

    method: str
    cells: tuple[Cell, ...]
    kind: str
    verdict: str


def columns(summary: dict[str, Any]) -> tuple[Column, ...]:
    """The columns of a summary; beside the mAP of a search stands its rank-1, beside other measures the ECE."""
    name, measure = _baseline_label(summary), measure_of(summary)
    return (
        Column("Method", "", "Method", ""),
        Column("Nets", "(all)", "Networks per cohort", "(in all)"),
        Column(measure.short, "± sd", f"{measure.title} of one network, %", "± sd"),
        Column("Gain, points", "[95 % interval]", f"Gain over {name}, points", "[95 % interval]"),
        Column("Ens. %", "(alone)", "Ensemble, %", "(trained alone)"),
        Column("Rank-1%", "", "Rank-1, %", "") if is_search(summary["rows"]) else Column("ECE %", "", "ECE, %", ""),
        Column("Fwd/bwd", "(each)", "Forward / backward passes", "(per network)"),
        Column("Time", "(each)", "Training time, relative", "(per network)"),
    )


def lines(summary: dict[str, Any]) -> list[Line]:
    """The rows of a summary as text, in its order."""
    return [_line(row, summary) for row in summary["rows"]]


def _line(row: dict[str, Any], summary: dict[str, Any]) -> Line:
    kind, cost = judge(row, summary.get("baseline")), row.get("cost") or {}
    networks, peers = row.get("networks"), row.get("peers")
    measure = measure_of(summary)
    cells = (
        Cell(label_of(row) + (f" {MARK}" if row.get("same_gradient_as") else ""), row["method"]),
        Cell(str(peers) if known(peers) else MISSING, f"({networks})" if known(networks) else ""),
        Cell(percent(measure.mean(row)), _spread(row, measure)),
        _gain(row, kind),
        Cell(
            percent(row.get("ensemble_mean")),
            _beside(MISSING if kind == "baseline" else percent(row.get("ensemble_alone_mean"))),
        ),
        Cell(percent(row.get("cmc1_mean" if measure is OPEN_SET else "ece_mean"))),
        Cell(_passes(cost, ""), _beside(_passes(cost, "_per_network"))),
        Cell(times(cost.get("seconds"), 2), _beside(times(cost.get("seconds_per_network"), 2))),
    )
    return Line(row["method"], cells, kind, verdict(row, summary))


def _spread(row: dict[str, Any], measure: Measure) -> str:
    if known(measure.sd(row)):
        return f"± {percent(measure.sd(row))}"
    return "one net" if row.get("networks") == 1 else ""


def _gain(row: dict[str, Any], kind: str) -> Cell:
    if kind == "baseline":
        return Cell("baseline")
    if not known(row.get("gain_mean")):
        return Cell(MISSING)
    n = seeds_of(row)
    bounds = interval(row.get("gain_ci95"))
    return Cell(
        f"{points(row['gain_mean'])}  n={n}",
        bounds if bounds != MISSING else "one seed: none" if n == 1 else "no interval",
    )


def _passes(cost: dict[str, Any], which: str) -> str:
    pair = [times(cost.get(f"{kind}{which}")) for kind in ("forward", "backward")]
    return MISSING if pair == [MISSING, MISSING] else "/".join(pair)


def _beside(text: str) -> str:
    return "" if text == MISSING else f"({text})"


def _baseline_label(summary: dict[str, Any]) -> str:
    name = summary.get("baseline")
    return next((label_of(r) for r in summary["rows"] if r["method"] == name), str(name or "the baseline"))


def footnotes(summary: dict[str, Any]) -> list[str]:
    """What the columns mean and how far they can be trusted; only what the table needs."""
    rows, name = summary["rows"], _baseline_label(summary)
    n_test, measure = summary.get("n_test"), measure_of(summary)
    of = f" of {n_test} {measure.examples}" if known(n_test) else ""
    said = [
        f"{measure.title}: mean over all networks of all seeds on the test set{of}, never the best of them; sd is the "
        "standard deviation over networks.",
        *_about_measure(measure),
    ]
    bounded = any(known(ends(r.get("gain_ci95"))[0]) for r in rows)
    if any(known(r.get("gain_mean")) for r in rows):
        said.append(
            f"Gain: mean {measure.name} of a method's networks minus that of “{name}” with the same seed, in "
            "percentage points, averaged over n seeds"
            + ("; in brackets the 95 % interval of this mean (Student t over seeds)." if bounded else ".")
        )
    if bounded:
        said.append(
            f"The interval says how far other seeds could move the gain on this one fixed test set{of}; other test "
            f"{measure.examples} would move it further."
        )
    if any(known(r.get("gain_mean")) and seeds_of(r) == 1 for r in rows):
        said.append("One seed gives no interval, so such a gain cannot be told from chance.")
    if sum(judge(r, summary.get("baseline")) not in ("baseline", "none") for r in rows) > 1:
        said.append("Each interval is for its row alone: of several gains, the largest is likely to be overestimated.")
    said += _about_ensemble(rows, measure) + _about_cost(rows)
    if any(known(r.get("ece_mean")) for r in rows) and measure is not OPEN_SET:
        said.append("ECE: expected calibration error, the gap between confidence and accuracy; 0 is best.")
    said += _same_gradient(rows)
    if any(MISSING in (c.main, c.detail) for line in lines(summary) for c in line.cells):
        said.append(f"{MISSING} stands where nothing was measured.")
    return said + [str(note) for note in summary.get("notes") or ()]


def _about_measure(measure: Measure) -> list[str]:
    if measure is OPEN_SET:
        return [
            "It is the mean over queries of the mean precision at a query's matches; rank-1 is how often the nearest "
            "picture is a match. Of a query's identity, pictures by its own camera are left out."
        ]
    if measure.key == "map":
        return ["It is the mean over labels of the average precision of the examples' ranking by that label."]
    return []


def _about_ensemble(rows: list[dict[str, Any]], measure: Measure) -> list[str]:
    if not any(known(r.get("ensemble_mean")) for r in rows):
        return []
    return [f"Ensemble: {measure.name} {measure.ensemble}; in parentheses that of the same networks trained alone."]


def _about_cost(rows: list[dict[str, Any]]) -> list[str]:
    costs = [row.get("cost") or {} for row in rows]
    said = []
    timed = any(known(c.get("seconds")) for c in costs)
    if timed or any(known(c.get("forward")) for c in costs):
        said.append(
            f"Cost: forward and backward passes{' and training time' if timed else ''} as multiples of training one "
            "network alone, for the whole cohort (a teacher's training included); in parentheses per network delivered."
        )
    if timed:
        said.append("Time was measured apart, method by method, since the methods of a study are trained side by side.")
    return said


def _same_gradient(rows: list[dict[str, Any]]) -> list[str]:
    labels = {row["method"]: label_of(row) for row in rows}
    pairs = [
        f"{label_of(r)} has the very gradient of {labels.get(r['same_gradient_as'], r['same_gradient_as'])}"
        for r in rows
        if r.get("same_gradient_as")
    ]
    if not pairs:
        return []
    return [
        f"{MARK} {listed(pairs)} (the mean of the KLs is the KL from the mean plus a constant), so it is no "
        "second piece of evidence: what differs between the two rows is rounding, amplified by training."
    ]
