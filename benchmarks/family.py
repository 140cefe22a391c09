"""Every single-machine method on digits at equal epochs, at its published defaults and tuned with one stated budget.

    python benchmarks/family.py rates               # rate and decay for alone: results/family_rates.json
    python benchmarks/family.py tune [PREFIX ...]   # the methods' own options: results/family_tuning.json
    python benchmarks/family.py defaults            # test data, seeds 0-9: results/family_defaults.json
    python benchmarks/family.py tuned               # the same, tuned: results/family_tuned.json
    python benchmarks/family.py table               # both: results/family.json, family.md

The budget: BUDGET settings for every row, its defaults among them, on validation data of seeds that are not reported;
the best by mean accuracy of single networks is the tuned one. `alone` is tuned over rate and decay, and what is best
for it is everybody's; the others are tuned over their own options. With PREFIX only rows that begin so are tuned, and
the others stay what they were in the file.
"""

import argparse
import dataclasses
import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

from codistill.recipes.family import ROWS, family
from codistill.report.markdown import markdown
from codistill.spec import Spec
from codistill.study import Row, Study, Summary, compare, versions

BUDGET = 6
SEEDS = (100, 101, 102)
RESULTS = Path(__file__).parent / "results"
RATES = [
    {"learning_rate": rate, "weight_decay": decay} for rate, decay in itertools.product((0.2, 0.4, 0.8), (4e-3, 1.6e-2))
]

# As text, from which a comparison completes teacher and graph.
METHODS = tuple(str(Row(row.method.without("teacher", "graph"), **dict(row.settings))) for row in ROWS)

Options = list[dict[str, Any]]


def each(option: str, *values: Any) -> Options:
    """One setting for each value of an option."""
    return [{option: value} for value in values]


# Of each row, BUDGET - 1 settings beside its defaults.
CANDIDATES: dict[str, Options] = {
    "alone:label_smoothing=0.1": each("label_smoothing", 0.02, 0.05, 0.2, 0.3, 0.4),
    "alone:confidence_penalty=0.1": each("confidence_penalty", 0.02, 0.05, 0.2, 0.5, 1.0),
    "dml:peers=4": [*each("weight", 0.5, 2, 4), {"temperature": 2}, {"temperature": 4}],
    "dml_ensemble:peers=4": [*each("weight", 0.5, 2, 4), {"temperature": 2}, {"temperature": 4}],
    "dml_ensemble:peers=4,mean=geometric": [*each("weight", 0.5, 2, 4), {"temperature": 2}, {"temperature": 4}],
    "kd": [
        *each("temperature", 1, 2, 8),
        {"weight": 0.5, "task_weight": 0.5},
        {"weight": 0.5, "task_weight": 0.5, "temperature": 2},
    ],
    "dkd": [*each("beta", 1, 2, 4), *each("temperature", 1, 2)],
    "dist": [
        {"beta": 0.5, "gamma": 0.5},
        {"beta": 2, "gamma": 2},
        {"beta": 4, "gamma": 4},
        {"temperature": 4},
        {"beta": 2, "gamma": 2, "temperature": 4},
    ],
    "lskd": each("weight", 0.5, 1, 2, 4, 16),
    "logits": each("weight", 0.01, 0.03, 0.3, 1, 3),
    "fitnet": each("weight", 0.01, 0.03, 0.3, 1, 10),
    "at": each("weight", 1, 10, 100, 300, 3000),
    "nst": each("weight", 0.1, 1, 3, 30, 100),
    "rkd": each("weight", 0.003, 0.01, 0.03, 0.1, 0.3),
    "ofd": each("weight", 0.005, 0.05, 0.15, 1.5, 5),
    "afd": each("weight", 0.5, 5, 50, 150, 1500),
    "cml:peers=4": [*each("weight", 0.5, 2), *each("teacher_weight", 0.5, 2), {"temperature": 2}],
    "udml:peers=4": [*each("weight", 0.5, 2), *each("feature_weight", 0.01, 0.1, 10)],
    "ddgsd": [*each("weight", 0.25, 0.5, 2), {"temperature": 1}, {"mmd": 5e-3}],
    "pskd": each("alpha", 0.2, 0.3, 0.4, 0.6, 0.9),
    "cskd": [*each("weight", 0.25, 0.5, 2, 3), {"temperature": 2}],
    "tfkd": [*each("alpha", 0.1, 0.3, 0.5, 0.7), {"temperature": 3}],
    "tfkd_reg": [*each("alpha", 0.05, 0.2, 0.3, 0.5), {"temperature": 10}],
    "byot": [*each("alpha", 0.1, 0.5), *each("hint", 0, 0.3), {"temperature": 1}],
    "one:peers=4,branch_at=stage3": [*each("weight", 0.25, 0.5, 2), *each("temperature", 1, 2)],
    "clilr:peers=4,branch_at=stage3": [*each("weight", 0.25, 0.5, 2, 4), {"temperature": 1}],
    "okddip:peers=4": [*each("weight", 0.25, 0.5, 2), *each("temperature", 1, 2)],
    "okddip:peers=4,branch_at=stage3": [*each("weight", 0.25, 0.5, 2), *each("temperature", 1, 2)],
    "kdcl:peers=4": [*each("ensemble", "naive", "linear", "general"), *each("weight", 0.5, 2)],
    "pcl:peers=4": [*each("weight", 0.25, 0.5, 2), *each("temperature", 1, 2)],
    "mmt:peers=4": [*each("weight", 0.25, 0.75), *each("decay", 0.9, 0.99), {"temperature": 2}],
    "codistillation:peers=4": [*each("burn_in", 0.1, 0.2), *each("weight", 0.5, 2), {"exchange": "logits"}],
    "ktg:peers=4": [*each("gates", "linear", "correct"), *each("weight", 0.3, 0.6), {"gates": "linear", "weight": 0.3}],
}


def with_options(spec: str, options: dict[str, Any]) -> str:
    """A spec with other values of some options."""
    return str(Spec.of(spec).replace(**options))


def ranked(study: Study) -> list[dict[str, Any]]:
    """The rows of a study by mean accuracy of single networks, the best first."""
    with tempfile.TemporaryDirectory() as folder:
        *_, last = compare(study, folder)
    rows = [{"method": row["method"], "accuracy": row["accuracy_mean"]} for row in last.facts["rows"]]
    return sorted(rows, key=lambda row: -row["accuracy"])


def write(name: str, found: dict[str, Any]) -> None:
    """A JSON file of results, with what made it."""
    about = {"budget": BUDGET, "seeds": SEEDS, "part": "valid", "versions": versions()}
    (RESULTS / name).write_text(json.dumps({**found, **about}, indent=1) + "\n", encoding="utf-8")


def read(name: str) -> dict[str, Any]:
    """A JSON file of results; empty where there is none yet."""
    path = RESULTS / name
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def rates() -> None:
    """Rate and decay for networks trained alone."""
    rows = []
    for settings in RATES:
        study = dataclasses.replace(family(**settings), seeds=SEEDS, part="valid", rows=("alone:peers=4",))
        rows.append({**settings, "accuracy": ranked(study)[0]["accuracy"]})
        print(rows[-1], flush=True)
    rows.sort(key=lambda row: -row["accuracy"])
    write("family_rates.json", {"command": "python benchmarks/family.py rates", "best": rows[0], "rows": rows})


def tune(prefixes: list[str]) -> None:
    """The methods' own options."""
    chosen = read("family_tuning.json").get("rows", {})
    for spec in METHODS[1:]:
        if prefixes and not spec.startswith(tuple(prefixes)):
            continue
        others = CANDIDATES[spec]
        if len(others) != BUDGET - 1:
            raise SystemExit(f"{spec}: {len(others)} settings beside the defaults, the budget is {BUDGET - 1}")
        specs = (spec, *(with_options(spec, options) for options in others))
        study = dataclasses.replace(family(), seeds=SEEDS, part="valid", rows=("alone:peers=4", *specs))
        rows = [row for row in ranked(study) if row["method"] != study.entries[0].name]
        chosen[spec] = rows
        print(f"{spec}: {rows[0]['method']} {rows[0]['accuracy']:.4f}, worst {rows[-1]['accuracy']:.4f}", flush=True)
        # Read again: another process may have tuned other rows meanwhile.
        written = read("family_tuning.json").get("rows", {})
        write("family_tuning.json", {"command": "python benchmarks/family.py tune", "rows": {**written, spec: rows}})


def measure(which: str) -> None:
    """One half on test data, ``defaults`` or ``tuned``, each beside the same networks trained alone."""
    tuned = {spec: rows[0]["method"] for spec, rows in read("family_tuning.json")["rows"].items()}
    defaults = dataclasses.replace(family(), rows=("alone:peers=4", *METHODS[1:]))
    names = {entry.name for entry in defaults.entries}
    better = tuple(dict.fromkeys(best for spec, best in tuned.items() if spec in METHODS and best not in names))
    study = defaults if which == "defaults" else dataclasses.replace(defaults, rows=("alone:peers=4", *better))
    with tempfile.TemporaryDirectory() as folder:
        for record in compare(study, folder, command=f"python benchmarks/family.py {which}"):
            if record.kind == "end":
                print(f"part {record.facts['part']} of {record.facts['parts']}", flush=True)
            last = record
    (RESULTS / f"family_{which}.json").write_text(json.dumps(last.facts, indent=1) + "\n", encoding="utf-8")


def table() -> None:
    """Both halves as one table, each tuned row below its defaults."""
    halves = {which: read(f"family_{which}.json") for which in ("defaults", "tuned")}
    tuning = read("family_tuning.json")["rows"]
    tuned = {row["method"]: row for row in halves["tuned"]["rows"][1:]}
    rows = [halves["defaults"]["rows"][0]]
    for spec, row in zip(METHODS[1:], halves["defaults"]["rows"][1:], strict=True):
        rows.append({**row, "tuned": False})
        best = tuning[spec][0]["method"]
        if best in tuned:
            rows.append({**tuned[best], "tuned": True, "label": tuned[best]["label"] + " (tuned)"})
    notes = [
        f"Each method stands at its published defaults and, where another of {BUDGET} settings was better on "
        f"validation data (seeds {SEEDS[0]} to {SEEDS[-1]}), also tuned; rate and decay were tuned for training alone "
        "with the same budget.",
        "Methods with a teacher learn from networks of the same size trained alone: each student from the next one "
        "(graph ring), with Tf-KD from the one with its own start.",
        "Defaults and tuned rows were measured in two runs, each beside the same networks trained alone.",
    ]
    found = {**halves["defaults"], "rows": rows, "notes": notes, "command": "python benchmarks/family.py"}
    (RESULTS / "family.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "family.md").write_text(markdown(Summary.from_dict(found)), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["rates", "tune", "defaults", "tuned", "table"])
    parser.add_argument("prefixes", nargs="*")
    given = parser.parse_args()
    if given.what in ("defaults", "tuned"):
        measure(given.what)
    else:
        {"rates": rates, "tune": lambda: tune(given.prefixes), "table": table}[given.what]()


if __name__ == "__main__":
    main()
