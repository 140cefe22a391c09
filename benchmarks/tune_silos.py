"""Tune the recipes of `silos` on validation data, on seeds that are never reported: `alone` first, then pseudo labels.

    python benchmarks/tune_silos.py

Twelve settings of rate and decay for `alone`, and twelve of threshold and weight for pseudo labels with what was best
for `alone`: the control gets the budget of both. DML takes over rate and decay of `alone`, with weight 1 and ramp 0.3,
and is not tuned. The best by mean validation accuracy of single networks is what `recipes/silos.py` uses. Writes
`benchmarks/results/tune_silos.json`.
"""

import json
import time
from pathlib import Path
from typing import Any

from codistill import recipes
from codistill.study import Row, versions
from tuning import SEEDS, tuned

RECIPES = ("silos", "silos_skewed", "few_labels", "views")
EVERYBODYS = {"valid": (300,), "execute": ("stack",)}
RATES = {"learning_rate": (1e-3, 3e-3, 1e-2, 3e-2), "weight_decay": (0.01, 0.1, 1.0)}
PSEUDO = {"select": ("all", "confident:0.7", "confident:0.95"), "weight": (0.1, 0.3, 1.0, 3.0)}
OUT = Path(__file__).parent / "results" / "tune_silos.json"


def tune(name: str) -> dict[str, Any]:
    """What was found for one recipe, the best first."""
    recipe = recipes.get(name)
    alone = tuned(recipe, EVERYBODYS | RATES, Row("alone"))
    best = {setting: (alone[0][setting],) for setting in RATES}
    pseudo = tuned(recipe, EVERYBODYS | best | PSEUDO, Row("pseudo", ramp=0.3))
    return {"base": recipe.base.as_dict(), "alone": alone, "pseudo": pseudo}


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
