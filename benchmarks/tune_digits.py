"""Tune the `digits` recipe for `alone`: every setting of a grid, on validation data, on seeds that are never reported.

    python benchmarks/tune_digits.py

The best setting by mean validation accuracy of single networks is what `recipes/digits.py` uses; the other methods take
it over. Writes `benchmarks/results/tune_digits.json`.
"""

import json
import time
from pathlib import Path

from codistill.recipes.digits import digits
from codistill.study import Row, versions
from tuning import SEEDS, tuned

NETWORKS = 4
GRID = {
    "learning_rate": (0.1, 0.2, 0.4, 0.8),
    "weight_decay": (5e-4, 2e-3, 8e-3, 3e-2),
    "epochs": (40, 60),
}
OUT = Path(__file__).parent / "results" / "tune_digits.json"


def main() -> None:
    started = time.perf_counter()
    rows = tuned(digits(), GRID, Row("alone", peers=NETWORKS))
    found = {
        "command": "python benchmarks/tune_digits.py",
        "seeds": SEEDS,
        "networks_per_seed": NETWORKS,
        "base": digits().base.replace(method="alone", peers=NETWORKS).as_dict(),
        "best": rows[0],
        "rows": rows,
        "seconds": round(time.perf_counter() - started),
        "versions": versions(),
    }
    OUT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"best: {rows[0]}")


if __name__ == "__main__":
    main()
