"""What the scripts that tune recipes share: `codistill tune`, in a folder that does not stay."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from codistill.study import Row, Study
from codistill.study.tuning import Tuning, tried, tune

SEEDS = tuple(range(100, 105))  # which no comparison uses


def tuned(recipe: Study, grid: Mapping[str, Sequence[Any]], method: Row) -> list[dict[str, Any]]:
    """Every setting of a grid with its mean validation accuracy over `SEEDS`, the best first."""
    tuning = Tuning.of(recipe, grid, (method,), len(SEEDS))
    assert tuning.study.seeds == SEEDS
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "tuning"
        for record in tune(tuning, folder):
            if record.kind == "end":
                print(f"{method}: part {record.facts['part']} of {record.facts['parts']}", flush=True)
        rows = [row for row in tried(tuning, folder) if not row.diverged]
    scored = [
        {**row.settings, "valid_accuracy": fmean(each), "standard_error": stdev(each) / len(each) ** 0.5}
        for row in rows
        for each in [row.per_seed]
    ]
    return sorted(scored, key=lambda row: -row["valid_accuracy"])
