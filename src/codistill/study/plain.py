"""What is compared on your own data where no recipe is named."""

from pathlib import Path

from codistill.run import Run
from codistill.study.entries import Study
from codistill.study.rows import BASELINE, Row

SEEDS = tuple(range(5))  # as few as the report calls a gain reliable at


def plain_study(base: Run) -> Study:
    """Networks trained alone against DML, five seeds, with a run's settings as they are: nothing is tuned."""
    return Study(data_title(base), base, (Row(BASELINE), Row("dml")), SEEDS)


def data_title(run: Run) -> str:
    """A run's data as a title has them: ``cifar10``, ``folder pets``, ``table reviews.csv``."""
    where = run.data_root or next((v for v in (*run.data.args, *run.data.options.values()) if _is_path(v)), None)
    built_in = run.data.name not in ("folder", "table")
    return run.data.name if where is None or built_in else f"{run.data.name} {Path(str(where)).resolve().name}"


def _is_path(value: object) -> bool:
    return isinstance(value, str) and ("/" in value or "." in value)


__all__ = ["data_title", "plain_study"]
