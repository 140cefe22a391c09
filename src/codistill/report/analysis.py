"""The tables of an analysis as text, for the terminal and the page alike: each number explained, each read in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codistill.analysis.peers import ends
from codistill.report.analysis_columns import FIT, NOISE, RANKED, SHARP, SURE, Column
from codistill.report.numbers import MISSING, count, known, listed
from codistill.report.numbers import ends as bounds_of

Analysis = dict[str, Any]


@dataclass(frozen=True)
class Shown:
    """One table.

    Attributes:
        key: for the page.
        title: the question that it answers.
        heads: of its columns.
        rows: of cells: what it is, and below it how far it is from the baseline.
        read: what the intervals say, in sentences.
        notes: what each column is.
    """

    key: str
    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[tuple[str, str], ...], ...]
    read: tuple[str, ...]
    notes: tuple[str, ...]


def tables(analysis: Analysis) -> list[Shown]:
    """The tables that an analysis has numbers for."""
    found = [
        _measures(analysis, "fit", "Is the training loss lower?", FIT),
        _measures(analysis, "noise", "Is the minimum wider? Weights shaken by noise", NOISE),
        _measures(analysis, "sharp", "Is the minimum flatter? Sharpness and curvature", SHARP),
        _sure(analysis),
        _peers(analysis),
    ]
    return [shown for shown in found if shown is not None]


def about(analysis: Analysis) -> list[str]:
    """What was looked at, in sentences."""
    n, settings, networks = analysis["n"], analysis["settings"], analysis["networks"]
    seeds = sorted({network["seed"] for network in networks})
    said = [
        f"Looked at: {count(len(networks), 'network')}, at most the first {settings['networks']} of each run, "
        f"{count(len(seeds), 'seed')}, data {analysis['data']}.",
        f"Noise, sharpness, curvature and surfaces: the training loss of {count(n['shaken'], 'training example')}; "
        f"losses, accuracies and posteriors: {n['train']} training and {count(n['test'], 'test example')}.",
    ]
    if analysis.get("baseline") is None:
        said.append("There are no networks trained alone among these runs, so nothing is compared with a baseline.")
    else:
        said.append(
            "Below each number its difference from the same networks (seed, number and kind) trained alone ± half of "
            "the 95 % interval over seeds; an interval of few seeds is wide, and among many one or "
            "two leave out zero by chance."
        )
    kinds = {d["how"]: d["why"] for x in networks if (d := x.get("hessian_detail"))}
    if "finite differences" in kinds:
        said.append(f"The Hessian's trace is from differences of gradients: {kinds['finite differences']}.")
    return said


def _measures(analysis: Analysis, key: str, title: str, wanted: Sequence[Column]) -> Shown | None:
    rows = analysis["rows"]
    columns = [c for c in wanted if any(c.name in row["measures"] for row in rows)]
    if not columns or all(c.name == "weight_norm" for c in columns):
        return None
    return Shown(
        key,
        title,
        ("Method", *(c.title for c in columns)),
        tuple(((row["label"], ""), *(_cell(row["measures"].get(c.name), c) for c in columns)) for row in rows),
        tuple(read(rows, c) for c in columns if c.words and analysis.get("baseline") is not None),
        tuple(f"{c.title}: {c.about}." for c in columns),
    )


def _cell(found: dict[str, Any] | None, column: Column) -> tuple[str, str]:
    if found is None:
        return MISSING, ""
    scale = 100.0 if column.percent else 1.0
    return figure(scale * found["mean"], column.percent), difference(found, scale, column.percent)


def difference(found: dict[str, Any], scale: float = 1.0, percent: bool = False) -> str:
    """``−0.012 ± 0.004``: how far from the baseline, and half of the interval."""
    if not known(found.get("difference")):
        return ""
    low, high = bounds_of(found.get("ci95"))
    half = "" if low is None or high is None else f" ± {figure(scale * (high - low) / 2, percent, 2)}"
    gap = scale * found["difference"]
    return f"{'+' if gap > 0 else ''}{figure(gap, percent, 2)}{half}"


def figure(x: float, percent: bool = False, digits: int = 3) -> str:
    """Three significant figures, two decimals of percent; a real minus sign."""
    if not known(x):
        return MISSING
    text = f"{x:.2f}" if percent else f"{x:.0f}" if 10**digits <= abs(x) < 1e6 else f"{x:.{digits}g}"
    return text.replace("-", "−")


def read(rows: Sequence[Any], column: Column) -> str:
    """What the intervals of one measure say: who lies clearly below the baseline, and who above."""
    sides: dict[str, list[str]] = {"below": [], "above": [], "unclear": []}
    for row in rows:
        found = row["measures"].get(column.name)
        low, high = bounds_of((found or {}).get("ci95"))
        if found is None or not known(found.get("difference")):
            continue
        if low is None or high is None or low <= 0 <= high:
            sides["unclear"].append(row["label"])
        else:
            gap = difference(found, 100.0 if column.percent else 1.0, column.percent)
            sides["below" if high < 0 else "above"].append(f"{row['label']} ({gap})")
    said = [f"{side} alone's with {listed(sides[side])}" for side in ("below", "above") if sides[side]]
    if not said:
        return f"{column.words}: no clear difference from alone with any method."
    rest = ["no clear difference with the others"] if sides["unclear"] else []
    return f"{column.words}: {'; '.join([*said, *rest])}."


def _sure(analysis: Analysis) -> Shown | None:
    shown = _measures(analysis, "sure", "Are the networks less certain?", SURE)
    if shown is None:
        return None
    ranks = [(_ranks(row["train_top"]), _ranks(row["test_top"])) for row in analysis["rows"]]
    return Shown(
        shown.key,
        shown.title,
        (*shown.heads, "Sorted posterior"),
        tuple((*row, pair) for row, pair in zip(shown.rows, ranks, strict=True)),
        shown.read,
        (*shown.notes, RANKED),
    )


def _ranks(top: Sequence[float]) -> str:
    return "  ".join(f"{p:.3f}" for p in top)


def _peers(analysis: Analysis) -> Shown | None:
    entries = analysis["peers"]
    labels = {row["method"]: row["label"] for row in reversed(analysis["rows"])}
    rows = []
    for method in dict.fromkeys(entry["method"] for entry in entries):
        apart, agree, ratio = (ends(entries, method, name) for name in ("divergence", "agreement", "ratio"))
        if apart is None and ratio is None:
            continue
        cells = [
            (f"{figure(found[0])} → {figure(found[2])}", f"mean {figure(found[1])}") if found else (MISSING, "")
            for found in (apart, agree, None if ratio is None else tuple(100 * x for x in ratio))
        ]
        rows.append(((labels.get(method, method), ""), *cells))
    if not rows:
        return None
    return Shown(
        "peers",
        "What do peers make of each other, from the first epoch to the last?",
        ("Method", "Divergence", "Agreement", "Imitation/task, %"),
        tuple(rows),
        (),
        (
            "Divergence: mean KL between the posteriors of two peers on training batches, all pairs; nats. Networks "
            "trained alone show what two seeds differ by anyway.",
            "Agreement: share of training samples on which two peers choose the same class.",
            "Imitation/task: what peers learn from others beside what they learn from labels, as parts of the loss.",
        ),
    )


__all__ = ["Shown", "about", "difference", "figure", "read", "tables"]
