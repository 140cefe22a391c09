"""Tune the recipes of `silos` on validation data, on seeds that are never reported: `alone` first, then pseudo labels.

    python benchmarks/tune_silos.py

Twelve settings of rate and decay for `alone`, and twelve of threshold and weight for pseudo labels with what was best
for `alone`: the control gets the budget of both. DML takes over rate and decay of `alone`, with weight 1 and ramp 0.3,
and is not tuned. The best by mean validation accuracy of single networks is what `recipes/silos.py` uses. Writes
`benchmarks/results/tune_silos.json`.
"""

import itertools
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from codistill import recipes
from codistill.run import Run
from codistill.study import versions
from tuning import SEEDS, score

RECIPES = ("silos", "silos_skewed", "few_labels", "views")
VALID = 300
RATES = {"learning_rate": (1e-3, 3e-3, 1e-2, 3e-2), "weight_decay": (0.01, 0.1, 1.0)}
PSEUDO = {"select": ("all", "confident:0.7", "confident:0.95"), "weight": (0.1, 0.3, 1.0, 3.0)}
OUT = Path(__file__).parent / "results" / "tune_silos.json"


def scores(grid: Mapping[str, tuple[Any, ...]], run: Run) -> Iterator[dict[str, Any]]:
    """Every setting of a grid with its score: settings of the run, or options of its method."""
    for values in itertools.product(*grid.values()):
        settings = dict(zip(grid, values, strict=True))
        of_run = {name: value for name, value in settings.items() if name in RATES}
        of_method = {name: value for name, value in settings.items() if name in PSEUDO}
        mean, error = score(run.replace(**of_run, method=run.method.replace(**of_method)))
        print(f"{run.method.name} {settings}: {mean * 100:.2f} +- {error * 100:.2f}", flush=True)
        yield {**settings, "valid_accuracy": mean, "standard_error": error}


def tune(name: str) -> dict[str, Any]:
    """What was found for one recipe, the best first."""
    base = recipes.get(name).base.replace(valid=VALID, execute="stack")
    alone = base.replace(method="alone", unlabelled=0)
    found = {"base": base.as_dict(), "alone": _sorted(scores(RATES, alone))}
    best = {setting: found["alone"][0][setting] for setting in RATES}
    pseudo = base.replace(method="pseudo:ramp=0.3", **best)
    return {**found, "pseudo": _sorted(scores(PSEUDO, pseudo))}


def _sorted(rows: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: -row["valid_accuracy"])


def main() -> None:
    started = time.perf_counter()
    found = {name: tune(name) for name in RECIPES}
    text = {
        "command": "python benchmarks/tune_silos.py",
        "seeds": SEEDS,
        "recipes": found,
        "seconds": round(time.perf_counter() - started),
        "versions": versions(),
    }
    OUT.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
    for name, rows in found.items():
        print(f"{name}: {rows['alone'][0]} {rows['pseudo'][0]}")


if __name__ == "__main__":
    main()
