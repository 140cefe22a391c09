"""Settings that are chosen on validation data, by a grid of which every method gets the whole."""

import itertools
import math
from collections.abc import Container, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any

from codistill import files
from codistill.jsonable import to_json
from codistill.locks import locked
from codistill.run import Run
from codistill.spec import Spec
from codistill.statistics.interval import paired_interval
from codistill.study import Part, diverged_in, parts, results_of_parts, train_parts, versions
from codistill.study.entries import Study
from codistill.study.results import networks_of
from codistill.study.rows import SETTINGS, Row, row_of
from codistill.study.summary import MEASURES
from codistill.training.records import Diverged, Record
from codistill.training.results import result_from_json

FILE = "tune.json"
HELD_OUT = 0.2  # of the training examples, where a recipe holds none out
SEEDS = 5
APART = 100  # seeds for tuning begin at the next multiple of it above a recipe's own

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Tried:
    """What a setting of a method is worth.

    Attributes:
        method: with the options that are not tuned.
        settings: that were tried, by name.
        per_seed: of each seed the mean of its single networks on the validation part; none for one that diverged.
        diverged: how many of the seeds.
    """

    method: str
    settings: Settings
    per_seed: tuple[float, ...]
    diverged: int = 0

    def as_dict(self) -> dict[str, object]:
        """For JSON, with mean and 95 % interval over seeds, None where there are none."""
        numbers = paired_interval(self.per_seed) if self.per_seed else (math.nan,) * 3
        mean, low, high = (number if math.isfinite(number) else None for number in numbers)
        return {
            "method": self.method,
            "settings": to_json(self.settings),
            "mean": mean,
            "ci95": None if low is None else (low, high),
            "per_seed": self.per_seed,
            "diverged": self.diverged,
        }


@dataclass(frozen=True)
class Tuning:
    """A grid, and the study of all that it comes to.

    Attributes:
        study: its rows are the methods, its base has what is not tuned.
        grid: values by name: settings of the run, or options of every method.
        fixed: settings of the run in the base that are not the recipe's.
    """

    study: Study
    grid: Mapping[str, tuple[Any, ...]]
    fixed: Settings = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        recipe: Study,
        grid: Mapping[str, Sequence[Any]],
        rows: Sequence[str | Row] = (),
        seeds: int = SEEDS,
    ) -> "Tuning":
        """That of a recipe, on seeds which it does not use.

        Args:
            recipe: its settings are those of all runs; where it holds no validation part out, `HELD_OUT` is.
            grid: values by name. A setting of the run with a single value is set for all rows, the baseline's too.
            rows: methods; none: the recipe's. What the grid has is no difference between them.
            seeds: how many.

        Raises:
            ValueError: nothing to choose from, or a name that a method does not have.
        """
        if empty := [name for name, values in grid.items() if not values]:
            raise ValueError(f"{empty[0]}: give one or more values")
        several = {name: tuple(values) for name, values in grid.items() if len(values) > 1 or name not in SETTINGS}
        if not any(len(values) > 1 for values in several.values()):
            raise ValueError("nothing is to be chosen: give two or more values, e.g. --learning-rate 0.05 0.1 0.2")
        fixed = {name: values[0] for name, values in grid.items() if name not in several}
        base = recipe.base.replace(**{"valid": recipe.base.valid or HELD_OUT, **fixed})
        plain = tuple(dict.fromkeys(_without(row_of(row), several) for row in rows or recipe.rows))
        first = (max(recipe.seeds) // APART + 1) * APART
        study = replace(
            recipe,
            base=base,
            rows=plain,
            seeds=tuple(range(first, first + seeds)),
            part="valid",
            retrainings=1,
            published=(),
            notes=(),
        )
        return cls(study, several, fixed)

    @cached_property
    def rows(self) -> dict[Row, tuple[Row, Settings]]:
        """Every row that is tried, with its method and its settings."""
        return {
            with_settings(row, settings, self.study.base): (row, settings)
            for row in self.study.rows
            for settings in self.settings
        }

    @property
    def settings(self) -> list[Settings]:
        """All of the grid."""
        return [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]

    @cached_property
    def trained(self) -> Study:
        """The study of all rows that are tried; it has the networks trained alone that they need besides."""
        return replace(self.study, rows=tuple(self.rows))

    def parts(self, folder: Path) -> list[Part]:
        """What is trained as one: runs of any rate and decay."""
        return parts(self.trained, folder, apart=())

    def as_dict(self) -> Mapping[str, Any]:
        """For JSON."""
        return {"study": self.study.as_dict(), "grid": to_json(self.grid), "fixed": to_json(self.fixed)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Tuning":
        """From JSON."""
        grid = {name: tuple(each) for name, each in values["grid"].items()}
        return cls(Study.from_dict(values["study"]), grid, values["fixed"])


def tune(tuning: Tuning, folder: str | Path, *, command: str = "") -> Generator[Record, None, None]:
    """Try everything, and write ``tune.json``; what is in the folder is gone on with.

    Records are those of `compare`; the facts of the last one, ``tuned``, are what the file says.

    Raises:
        FileExistsError: the folder holds something else.
        Diverged: every run has.
        Held: another process tunes there.
    """
    folder = Path(folder)
    about = folder / FILE
    if about.exists() and load(folder) != tuning:
        raise FileExistsError(f"{folder} holds a tuning of other settings: choose another name")
    study, todo = tuning.trained, tuning.parts(folder)
    methods = {entry.name: str(tuning.rows[entry.row][0]) for entry in study.entries if entry.row in tuning.rows}
    begun = {**tuning.as_dict(), "command": command, "versions": versions()}
    for record in train_parts(study, todo, {}):
        if not about.exists():  # only now: invalid settings leave no folder behind
            files.write_json(about, begun)
        trained = list(dict.fromkeys(methods.get(name, name) for name in record.facts.get("methods", ())))
        yield replace(record, facts={**record.facts, "methods": trained})
    with locked(folder):
        before = files.read_if_whole(about) or begun
        found = {**before, **_found(tuning, tried(tuning, folder))}
        files.write_json(about, found)
    yield Record("tuned", 0, 0, facts=found)


def load(folder: str | Path) -> Tuning:
    """The tuning of a folder."""
    return Tuning.from_dict(files.read_json(Path(folder) / FILE))


def tried(tuning: Tuning, folder: Path) -> list[Tried]:
    """What every setting of every method is worth, in the order of methods and grid.

    Raises:
        Diverged: every run has.
    """
    study, todo = tuning.trained, tuning.parts(folder)
    results = networks_of(map(result_from_json, results_of_parts(study, todo)))
    lost = [(name, seed) for (name, seed, _), _ in diverged_in(study, todo)]
    if not results:
        raise Diverged(f"{folder}: all runs have diverged: lower the learning rates")
    measure = next(name for name in MEASURES if all(name in result.values for result in results))
    values: dict[tuple[str | None, int], list[float]] = {}
    for result in results:
        values.setdefault((result.entry, result.seed), []).append(result.values[measure])
    names = {entry.row: entry.name for entry in study.entries}
    found = []
    for row, (method, settings) in tuning.rows.items():
        per_seed = tuple(fmean(own) for seed in study.seeds if (own := values.get((names[row], seed))))
        diverged = sum((names[row], seed) in lost for seed in study.seeds)
        found.append(Tried(str(method), settings, per_seed, diverged=diverged))
    return found


def best_of(rows: Sequence[Tried]) -> Tried | None:
    """The setting with the highest mean, the first of several; None where of each a seed has diverged."""
    return max((row for row in rows if not row.diverged), key=lambda row: fmean(row.per_seed), default=None)


def behind(row: Tried, best: Tried) -> tuple[float, float, float]:
    """By how much the best is better than another setting: mean and 95 % interval of the difference over seeds.

    The best is the best of many on these very seeds, so that these differences are larger than on others.
    """
    return paired_interval(a - b for a, b in zip(best.per_seed, row.per_seed, strict=True))


def beyond(values: Sequence[Any], value: Any) -> Any | None:
    """What to try next where a value lies on the edge of those that were tried: as far from it as its neighbour is, in
    ratio. None where it does not, or there is nothing beyond.

    >>> beyond((0.1, 0.2, 0.4), 0.4), beyond((0.1, 0.2, 0.4), 0.1), beyond((0.1, 0.2, 0.4), 0.2)
    (0.8, 0.05, None)
    """
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in values):
        return None
    ordered = sorted(values)
    if len(ordered) < 2 or value not in (ordered[0], ordered[-1]) or value <= 0:
        return None
    neighbour = ordered[1] if value == ordered[0] else ordered[-2]
    further = value * value / neighbour if neighbour > 0 else 2 * value
    return round(further) if isinstance(value, int) else float(f"{further:.3g}")


def by_method(rows: Sequence[Tried]) -> dict[str, list[Tried]]:
    """The settings of each method."""
    return {method: list(own) for method, own in itertools.groupby(rows, key=lambda row: row.method)}


def _found(tuning: Tuning, rows: Sequence[Tried]) -> Mapping[str, Any]:
    """What ``tune.json`` says of the end."""
    best = {method: best_of(own) for method, own in by_method(rows).items()}
    return {
        "seeds": tuning.study.seeds,
        "part": tuning.study.part,
        "rows": [row.as_dict() for row in rows],
        "best": {method: None if row is None else dict(row.settings) for method, row in best.items()},
    }


def _without(row: Row, names: Container[str]) -> Row:
    """A row but for some settings and options."""
    options = {name: value for name, value in row.method.options.items() if name not in names}
    settings = {name: value for name, value in row.settings if name not in names}
    return Row(Spec(row.method.name, row.method.args), **options, **settings)


def with_settings(row: Row, settings: Settings, base: Run) -> Row:
    """A row with settings; those that all rows have are left out, so that the baseline is the baseline."""
    of_run = {name: value for name, value in settings.items() if name in SETTINGS}
    changed = base.replace(**of_run)
    same = [name for name in of_run if getattr(changed, name) == getattr(base, name)]
    return row.replace(**{name: value for name, value in settings.items() if name not in same})


__all__ = [
    "FILE",
    "Tried",
    "Tuning",
    "behind",
    "best_of",
    "beyond",
    "by_method",
    "load",
    "tried",
    "tune",
    "with_settings",
]
