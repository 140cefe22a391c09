"""Every single-machine method on digits at equal epochs, at its published defaults and tuned with one stated budget.

    python benchmarks/family.py tune      # validation data, seeds 100-102 -> results/family_tuning.json
    python benchmarks/family.py measure   # test data, seeds 0-9           -> results/family.json, family.md

The budget: `BUDGET` settings for every method, its defaults among them, each on three seeds that are not reported; the best by
mean validation accuracy of single networks is the tuned one. `alone` is tuned over rate and decay, and its setting of
these is everybody's; the other methods are tuned over their own options.
"""

import argparse
import dataclasses
import itertools
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from codistill.names import Spec
from codistill.recipes.family import METHODS, family
from codistill.report.markdown import markdown
from codistill.study import Study, compare, versions

BUDGET = 6
SEEDS = (100, 101, 102)
HERE = Path(__file__).parent / "results"
RATES = [{"learning_rate": r, "weight_decay": d} for r, d in itertools.product((0.2, 0.4, 0.8), (4e-3, 1.6e-2))]
WEIGHTS = [{"weight": w} for w in (0.25, 0.5, 2.0, 4.0, 8.0)]
# Of each method, BUDGET - 1 settings beside its defaults: weights around the default's by factors, or what else matters.
CANDIDATES: dict[str, list[dict[str, Any]]] = {}


def best(folder: Path, study: Study) -> list[tuple[str, float]]:
    """The entries of a study by mean accuracy, the best first."""
    for _ in compare(study, folder):
        pass
    rows = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["rows"]
    return sorted(((row["method"], row["accuracy_mean"]) for row in rows), key=lambda pair: -pair[1])


def settings(spec: str) -> list[str]:
    """A method's defaults and its candidates, as specs."""
    parsed = Spec.parse(spec)
    others = CANDIDATES[parsed.name]
    if len(others) != BUDGET - 1:
        raise ValueError(f"{spec}: {len(others)} candidates beside the defaults, the budget is {BUDGET - 1}")
    return [spec, *(str(Spec(parsed.name, parsed.args, {**parsed.options, **other})) for other in others)]


def tune() -> None:
    """Choose on validation data."""
    home = Path(tempfile.mkdtemp())
    study = dataclasses.replace(family(), seeds=SEEDS, part="valid")
    alone = [str(Spec("alone", (), rate)) for rate in RATES]
    rates = best(home / "alone", dataclasses.replace(study, methods=("alone", *alone)))
    print("alone:", rates)
    found: dict[str, Any] = {"alone": rates, "methods": {}}
    for spec in METHODS:
        if spec == "alone":
            continue
        chosen = best(home / Spec.parse(spec).name, dataclasses.replace(study, methods=tuple(settings(spec))))
        print(spec, chosen, flush=True)
        found["methods"][spec] = chosen
    shutil.rmtree(home)
    found |= {"command": "python benchmarks/family.py tune", "budget": BUDGET, "seeds": SEEDS, "versions": versions()}
    (HERE / "family_tuning.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["tune", "measure"])
    tune()
    print(markdown)
