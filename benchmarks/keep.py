"""Keep the results of a finished comparison in `benchmarks/results`: its table, and how its terms went.

    python benchmarks/keep.py runs/nsmc text_nsmc
    python benchmarks/keep.py runs/nsmc text_nsmc --figure
    python benchmarks/keep.py runs/quickstart quickstart        # several comparisons: NAME_CHAPTER.*, and NAME.svg
    python benchmarks/keep.py runs/digits_entropy digits_analysis --analysis
    python benchmarks/keep.py --labels                          # of the tables that are there, after labels changed

NAME.json is the comparison's summary.json with ``courses``: of every row and epoch, means over networks and seeds of
the task and the imitation loss, the true KL between peers (nats), their agreement and the accuracy on validation data.
NAME.md is its table. NAME.svg shows the courses. With --analysis it is what `codistill analyze` found there.
"""

import argparse
import io
import json
import re
import shutil
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from codistill import study
from codistill.files import read_json
from codistill.report.markdown import markdown
from codistill.run import Run
from codistill.spec import Spec
from codistill.study.chapters import is_chapters, load_chapters
from codistill.study.summary import label_of

RESULTS = Path(__file__).parent / "results"
Course = dict[str, list[float]]


def courses(folder: Path) -> dict[str, Course]:
    """Of every row its course over the epochs."""
    lines: dict[str, dict[int, list[dict[str, Any]]]] = {}
    for line in study.log_of(folder):
        lines.setdefault(line["method"], {}).setdefault(line["epoch"], []).append(line)
    return {method: _course([epochs[number] for number in sorted(epochs)]) for method, epochs in lines.items()}


def _course(epochs: Sequence[list[dict[str, Any]]]) -> Course:
    """Means of each epoch over its lines, one line for each seed."""
    found: Course = {"epoch": [lines[0]["epoch"] for lines in epochs]}
    for term in epochs[0][0]["terms"]:
        found[term] = [statistics.fmean(v for line in lines for v in line["terms"][term]) for lines in epochs]
    for name, said in (("edges", "kl"), ("agree", "agreement")):
        if name in epochs[0][0]:
            found[said] = [statistics.fmean(v for line in lines for v in _apart(line[name])) for lines in epochs]
    if "valid_accuracy" in epochs[0][0]:
        found["valid"] = [statistics.fmean(v for line in lines for v in line["valid_accuracy"]) for lines in epochs]
    return found


def _apart(matrix: Sequence[Sequence[float]]) -> list[float]:
    return [value for i, row in enumerate(matrix) for j, value in enumerate(row) if i != j]


def figure(found: dict[str, Course], path: Path) -> None:
    """The true KL and the imitation loss of every row over the epochs, on a logarithmic axis."""
    from codistill.report.palette import styles
    from codistill.report.plots.curves import Legend, Panel, Point, figure_of

    curves, legends, looks = {}, {}, styles(found)
    for method, course in found.items():
        for name, dash in (("kl", "-"), ("mimic", ":")):
            if name in course:
                said = "KL between peers" if name == "kl" else "imitation loss"
                legends[method + name] = Legend(f"{short(method)}: {said}", replace(looks[method], dash=dash))
                points = zip(course["epoch"], course[name], strict=True)
                curves[method + name] = [Point(x, y, y, y) for x, y in points if y > 0]
    plot = figure_of([Panel("Nats", curves)], legends, "", height=320, x_title="Epoch", log="y")
    assert plot is not None
    path.write_text(plot.svg + "\n", encoding="utf-8")


def short(method: str) -> str:
    """A row's name without the module of the user's own method."""
    return method.replace("codistill.recipes.sentiment:", "").replace("BatchSoftmax", "softmax over the batch")


def keep_analysis(folder: Path, name: str) -> None:
    """The tables of an analysis, as they are printed, and their numbers without the single networks'."""
    from rich.console import Console

    from codistill.analysis import Analysis
    from codistill.report.analysis_tables import print_analysis

    found = read_json(folder / "analysis.json")
    left_out = ("networks", "planes", "paths", "folders")
    kept = {"command": f"codistill analyze runs/{folder.name}", **{k: v for k, v in found.items() if k not in left_out}}
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    console = Console(width=120, file=io.StringIO(), record=True)
    print_analysis(Analysis.from_json(found), console)
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    text = "\n".join([f"What `{kept['command']}` printed:", "", "```", *lines, "```", ""])
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")


def relabel(path: Path) -> None:
    """Give a kept summary and its table the labels and footnotes that a comparison of its rows has now."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    methods = dict.fromkeys(row["method"].partition(" [")[0] for row in kept["rows"])
    models = kept["settings"]["models"]
    base = Run.from_dict({**kept["settings"], **({"peers": len(models)} if len(models) > 1 else {})})
    again = study.Study(kept["recipe"], base, tuple(methods), tuple(kept["seeds"]))
    entries = {entry.name: entry for entry in again.entries}
    for row in kept["rows"]:
        name, _, network = row["method"].removesuffix("]").partition(" [")
        row["label"] = label_of(entries[name], Spec.of(network)) if network else entries[name].label
    notes = [note for note in kept["notes"] if note not in again.footnotes]
    published = [note for note in notes if note.startswith("Published: ")]
    kept["notes"] = [*(note for note in notes if note not in published), *again.footnotes, *published]
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    if (table := path.with_suffix(".md")).exists():
        table.write_text(markdown(study.Summary.from_dict(kept)), encoding="utf-8")


def relabel_all() -> None:
    """`relabel` for every summary in the folder; `family.json` is made of two of them by ``family.py table``."""
    for path in sorted(RESULTS.glob("*.json")):
        kept = json.loads(path.read_text(encoding="utf-8"))
        if {"recipe", "settings", "rows"} <= kept.keys() and path.stem != "family":
            relabel(path)


def keep(folder: Path, name: str) -> dict[str, Course]:
    """Keep one comparison's summary and table; returns its courses."""
    summary = read_json(folder / "summary.json")
    found = courses(folder)
    kept = {**summary, "courses": found, "settings": {k: v for k, v in summary["settings"].items() if k != "data_root"}}
    kept["command"] = re.sub(r"(--data-root[ =])\S+", r"\g<1>DATA", summary["command"])  # of this machine
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    (RESULTS / f"{name}.md").write_text(markdown(study.Summary.from_dict(kept)), encoding="utf-8")
    return found


def main() -> None:
    """Keep one comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="of a finished comparison")
    parser.add_argument("name", nargs="?", help="of the files in benchmarks/results")
    parser.add_argument("--labels", action="store_true", help="only write labels and footnotes again")
    parser.add_argument("--figure", action="store_true", help="draw NAME.svg too")
    parser.add_argument("--analysis", action="store_true", help="keep what codistill analyze found, not the comparison")
    asked = parser.parse_args()
    if asked.labels:
        relabel_all()
        return
    if asked.folder is None or asked.name is None:
        parser.error("give a folder and a name, or --labels")
    if asked.analysis:
        keep_analysis(asked.folder, asked.name)
        return
    if is_chapters(asked.folder):
        for chapter in load_chapters(asked.folder).studies:
            keep(asked.folder / chapter, f"{asked.name}_{chapter}")
        shutil.copy(asked.folder / "gains.svg", RESULTS / f"{asked.name}.svg")
        return
    found = keep(asked.folder, asked.name)
    if asked.figure:
        figure(found, RESULTS / f"{asked.name}.svg")


if __name__ == "__main__":
    main()
