"""Put the measured tables into `docs/how-much-of-co-teaching-is-co.md`.

    python benchmarks/co_teaching.py

They come from the files in benchmarks/results that `benchmarks/keep.py` makes of the recipes with wrong labels; a test
holds the page to them. Every difference is one of gains over `alone`, seed by seed, with the interval over seeds: where
two rows have as many networks, that is the difference between networks of the same initial weights, data and order.
"""

import json
import re
from pathlib import Path
from typing import Any

from scipy import stats

from codistill.spec import Spec
from codistill.statistics.holm import holm
from codistill.statistics.interval import paired_interval

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "how-much-of-co-teaching-is-co.md"
RESULTS = ROOT / "benchmarks" / "results"
NAMES = (
    "wrong_labels",
    "wrong_labels_mnist_symmetric_50",
    "wrong_labels_mnist_pair_45",
    "wrong_labels_mnist_symmetric_20",
)
JOCOR = {name: f"{name}_jocor" for name in NAMES[1:]}  # with a tuned agreement; on digits the default is the best
DECAYED = "weight_decay="

Row = dict[str, Any]


def rows_of(kept: dict[str, Any]) -> dict[tuple[str, bool], Row]:
    """The rows by what they are, and by whether their weight decay is the tuned one."""
    return {(_kind(row["method"]), DECAYED in row["method"]): row for row in kept["rows"]}


def _kind(method: str) -> str:
    """``dml 4 x 1`` for DML with 4 networks at weight 1, ``stopped`` for early stopping, else the method's name."""
    spec = Spec.of(method)
    if spec.name == "dml":
        return f"dml {spec.options['peers']} x {spec.options['weight']}"
    return "stopped" if "keep" in spec.options else spec.name


def less(one: Row, other: Row) -> str:
    """By how much a row is above another, in points, with the interval over seeds."""
    each = [row["gain_per_seed"] or [0.0] * row["seeds"] for row in (one, other)]
    mean, low, high = paired_interval([a - b for a, b in zip(*each, strict=True)])
    return f"{100 * mean:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


QUESTIONS = {  # what is asked: the one row, and the other
    "early stopping": ("stopped", "alone"),
    "choosing one's own small losses": ("selfselect", "alone"),
    "the peer in co-teaching": ("coteaching", "selfselect"),
    "the peer in JoCoR": ("jocor", "selfselect"),
    "DML, 2 networks, weight 1": ("dml 2 x 1", "alone"),
    "DML, 2 networks, weight 4": ("dml 2 x 4", "alone"),
    "DML, 4 networks, weight 1": ("dml 4 x 1", "alone"),
    "DML, 4 networks, weight 4": ("dml 4 x 4", "alone"),
}


def differences(kept: dict[str, Any]) -> str:
    """What each thing adds, without weight decay and at the tuned one."""
    rows = rows_of(kept)
    lines = ["| what is added | to | without weight decay, points | at the tuned decay, points |"]
    lines.append("| --- | --- | ---: | ---: |")
    lines.append(f"| the tuned weight decay | alone | {less(rows['alone', True], rows['alone', False])} | – |")
    for asked, (one, other) in QUESTIONS.items():
        cells = (less(rows[one, d], rows[other, d]) if (one, d) in rows else "–" for d in (False, True))
        lines.append(f"| {asked} | {'own small losses' if other == 'selfselect' else other} | {' | '.join(cells)} |")
    return "\n".join(lines)


def controls(kept: dict[str, Any]) -> str:
    """The methods without weight decay against what one network can do without choosing samples."""
    rows = rows_of(kept)
    lines = ["| without weight decay | above alone at the tuned decay, points | above alone, stopped early, points |"]
    lines.append("| --- | ---: | ---: |")
    for method in ("selfselect", "coteaching", "jocor", "dml 4 x 4"):
        row = rows[method, False]
        cells = (less(row, rows[other]) for other in (("alone", True), ("stopped", False)))
        lines.append(f"| {row['label']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def accuracies(kept: dict[str, Any]) -> str:
    """Test accuracy of one network, mean and standard deviation over networks."""
    lines = ["| | test accuracy, % ± sd | over alone, points [95 % interval] |", "| --- | ---: | ---: |"]
    base = next(row for row in kept["rows"] if row["alone"])
    for row in kept["rows"]:
        gain = "baseline" if row is base else less(row, base)
        lines.append(f"| {row['label']} | {100 * row['accuracy_mean']:.1f} ± {100 * row['accuracy_sd']:.1f} | {gain} |")
    return "\n".join(lines)


def tuning(option: str) -> str:
    """The validation accuracies from which an option was chosen, ``weight_decay`` or ``agreement``."""
    found = json.loads((RESULTS / "tune_noise.json").read_text(encoding="utf-8"))
    studies = {name: study["rows"] for name, study in found.items() if option in study["rows"][0]}
    values = sorted(row[option] for row in next(iter(studies.values())))
    lines = [f"| {option.replace('_', ' ')} | " + " | ".join(f"{value:g}" for value in values) + " |"]
    lines.append("| --- |" + " ---: |" * len(values))
    for name, rows in sorted(studies.items()):
        accuracy = {row[option]: f"{100 * row['valid_accuracy']:.1f}" for row in rows}
        accuracy[rows[0][option]] = f"**{accuracy[rows[0][option]]}**"
        named = name.removesuffix(f"_{option}").replace("_", " ")
        lines.append(f"| {named} | " + " | ".join(accuracy[value] for value in values) + " |")
    return "\n".join(lines)


def peers() -> str:
    """What the peer adds to own small losses, without decay: in co-teaching, and in JoCoR at a tuned agreement."""
    lines = ["| | method | accuracy, % ± sd | above own small losses, points | p (Holm) | made by |"]
    lines.append("| --- | --- | ---: | ---: | ---: | --- |")
    pairs = [_pair(name, method) for name in NAMES for method in ("coteaching", "jocor")]
    adjusted = holm([_p(row, own) for _, row, own in pairs])
    for (kept, row, own), p in zip(pairs, adjusted, strict=True):
        noise = f"{kept['settings']['data']}, {kept['settings']['noise']}"
        accuracy = f"{100 * row['accuracy_mean']:.1f} ± {100 * row['accuracy_sd']:.1f}"
        command = kept["command"].removeprefix("codistill compare ")
        lines.append(f"| {noise} | {row['label']} | {accuracy} | {less(row, own)} | {p:.2f} | `{command}` |")
    return "\n".join(lines)


def _pair(name: str, method: str) -> tuple[dict[str, Any], Row, Row]:
    """A comparison, a method's row without weight decay, and that of own small losses."""
    path = RESULTS / f"{JOCOR.get(name, name) if method == 'jocor' else name}.json"
    kept = json.loads(path.read_text(encoding="utf-8"))
    rows = rows_of(kept)
    return kept, rows[method, False], rows["selfselect", False]


def _p(one: Row, other: Row) -> float:
    """Of the paired t test over seeds, two-sided."""
    return float(stats.ttest_rel(one["gain_per_seed"], other["gain_per_seed"]).pvalue)


def section(kept: dict[str, Any]) -> str:
    """The tables of a comparison, and the command."""
    made = f"{len(kept['seeds'])} seeds, {kept['n_test']:,} test images. Made by `{kept['command']}`."
    return "\n\n".join((differences(kept), controls(kept), accuracies(kept), made))


def page(text: str) -> str:
    """The page with its tables as they were measured."""
    blocks = {name: section(json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))) for name in NAMES}
    blocks |= {option: tuning(option) for option in ("weight_decay", "agreement")} | {"peers": peers()}
    for name, made in blocks.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)"
        text, found = re.subn(pattern, lambda m, made=made: f"{m[1]}\n{made}\n\n{m[2]}", text, flags=re.DOTALL)
        if found != 1:
            raise ValueError(f"{PAGE.name} has no place for the table {name}")
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
