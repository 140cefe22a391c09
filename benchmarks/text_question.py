"""Put the measured tables into `docs/text-question.md`.

    python benchmarks/text_question.py

They come from benchmarks/results/text_nsmc.json and text_imdb.json, which `benchmarks/keep.py` makes; a test holds the
page to them.
"""

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "text-question.md"
RESULTS = ROOT / "benchmarks" / "results"
NAMES = {"text_nsmc": "NSMC", "text_imdb": "IMDB"}


def table(kept: dict[str, Any]) -> str:
    """What came out: accuracies with their gain, and the terms in the first and the last epoch."""
    head = (
        "| | accuracy of one network, % ± sd | gain, points [95 % interval] | ensemble, % (alone) "
        "| imitation loss, first → last epoch | true KL, first → last epoch, nats | task loss, last epoch |"
    )
    return "\n".join([head, "| --- |" + " ---: |" * 6, *(_row(row, kept["courses"]) for row in kept["rows"])])


def _row(row: dict[str, Any], courses: dict[str, dict[str, list[float]]]) -> str:
    course = courses[row["method"]]
    gain = "baseline"
    if row["gain_mean"] is not None:
        low, high = row["gain_ci95"]
        gain = f"{100 * row['gain_mean']:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"
    ensemble = f"{100 * row['ensemble_mean']:.2f}"
    if not row["alone"]:
        ensemble += f" ({100 * row['ensemble_alone_mean']:.2f})"
    cells = (
        row["label"],
        f"{100 * row['accuracy_mean']:.2f} ± {100 * row['accuracy_sd']:.2f}",
        gain,
        ensemble,
        _ends(course.get("mimic")),
        _ends(course.get("kl")),
        f"{course['task'][-1]:.3f}",
    )
    return f"| {' | '.join(cells)} |"


def _ends(values: list[float] | None) -> str:
    return "–" if not values else f"{_short(values[0])} → {_short(values[-1])}"


def _short(value: float) -> str:
    return f"{value:.3f}" if value >= 0.01 else f"{value:.1e}"


def epochs(kept: dict[str, Any]) -> str:
    """The true KL and the accuracy on validation data in every epoch."""
    courses = {row["label"]: kept["courses"][row["method"]] for row in kept["rows"]}
    count = len(next(iter(courses.values()))["epoch"])
    head = "| | " + " | ".join(f"epoch {number}" for number in range(1, count + 1)) + " |"
    lines = [head, "| --- |" + " ---: |" * count]
    for label, course in courses.items():
        lines.append(f"| {label}: KL | " + " | ".join(_short(v) for v in course["kl"]) + " |")
    for label, course in courses.items():
        lines.append(f"| {label}: validation, % | " + " | ".join(f"{100 * v:.2f}" for v in course["valid"]) + " |")
    return "\n".join(lines)


def calibration(kept: dict[str, Any]) -> str:
    """Calibration error and likelihood on the test part, and by how much they differ from networks trained alone."""
    head = "| | ECE, % | against alone, points [95 % interval] | NLL, nats | against alone, nats [95 % interval] |"
    lines = [head, "| --- |" + " ---: |" * 4]
    for row in kept["rows"]:
        apart = {name: (each["mean"], *each["interval"]) for name, each in row.get("against_alone", {}).items()}
        ece, nll = (
            "baseline"
            if name not in apart
            else "{:+.{d}f} [{:+.{d}f}, {:+.{d}f}]".format(*(s * v for v in apart[name]), d=d)
            for name, s, d in (("ece", 100, 2), ("nll", 1, 3))
        )
        lines.append(f"| {row['label']} | {100 * row['ece_mean']:.2f} | {ece} | {row['nll_mean']:.3f} | {nll} |")
    return "\n".join(lines)


def tables(kept: dict[str, Any]) -> str:
    """The tables of one comparison, and its command."""
    command = f"Made by `{kept['command']}`, torch {kept['versions']['torch']}."
    return "\n\n".join([table(kept), calibration(kept), epochs(kept), command])


def page(text: str) -> str:
    """The page with its tables as they were measured."""
    for name, title in NAMES.items():
        made = tables(json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")))
        pattern = rf"(<!-- {title} -->\n).*?(<!-- end of {title} -->)"
        text, found = re.subn(pattern, lambda m, made=made: f"{m[1]}\n{made}\n\n{m[2]}", text, flags=re.DOTALL)
        if found != 1:
            raise ValueError(f"{PAGE.name} has no place for the tables of {title}")
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
