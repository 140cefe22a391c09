"""What a tuning found: a table of all that was tried, and what to do with it."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean

from codistill.report.numbers import MISSING, count, interval, known, percent, points
from codistill.report.table import Cell, Column, Row, Table
from codistill.spec import show_value
from codistill.statistics.interval import paired_interval
from codistill.study.rows import BASELINE, SETTINGS
from codistill.study.tuning import Settings, Tried, Tuning, behind, best_of, beyond, by_method, with_settings


def tuning_table(tuning: Tuning, rows: Sequence[Tried]) -> Table:
    """All settings of every method, and how far each is from the method's best."""
    study, cells = tuning.study, []
    for method, own in by_method(rows).items():
        best = best_of(own)
        cells += [_row(method if row is own[0] else "", row, best) for row in own]
    seeds = f"{count(len(study.seeds), 'seed')} ({' '.join(map(str, study.seeds))})"
    return Table(
        f"{study.recipe}: tried on validation data, {seeds}",
        (
            Column("Method"),
            *(Column(name.replace("_", " ")) for name in tuning.grid),
            Column("Valid %"),
            Column("Best - this"),
        ),
        tuple(cells),
        sentences=tuple(sentences(tuning, rows)),
        notes=(
            "Means of single networks, 95 % intervals over seeds. The best was chosen on these seeds, so that its own "
            "figure is too good: compare measures it on others.",
        ),
    )


def _row(method: str, row: Tried, best: Tried | None) -> Row:
    values = (Cell(show_value(value)) for value in row.settings.values())
    if row.diverged:
        failed = f"diverged in {row.diverged} of {count(row.diverged + len(row.per_seed), 'seed')}"
        return Row((Cell(method), *values, Cell(failed), Cell(MISSING)))
    _, *reach = paired_interval(row.per_seed)
    worth = Cell(percent(fmean(row.per_seed)), _between(reach, percent))
    if row is best or best is None:
        return Row((Cell(method), *values, worth, Cell("best")), kind="gain")
    mean, *reach = behind(row, best)
    return Row((Cell(method), *values, worth, Cell(points(mean), _between(reach, points))))


def _between(reach: Sequence[float], show: Callable[[float], str]) -> str:
    """An interval; a dash for a single seed."""
    low, high = reach
    return interval((low, high) if known(low) else None, show)


def sentences(tuning: Tuning, rows: Sequence[Tried]) -> Iterator[str]:
    """The best of each method, and whether it lies on the edge of the grid."""
    for method, own in by_method(rows).items():
        best = best_of(own)
        if best is None:
            yield f"{method}: every setting diverged for some seed; lower the learning rates."
            continue
        yield f"{method}: best with {_options(best.settings)}."
        for name, value in best.settings.items():
            if (further := beyond(tuning.grid[name], value)) is not None:
                yield f"  {name}={value} lies on the edge of the grid: widen it, e.g. with {further}."


def compare_command(tuning: Tuning, rows: Sequence[Tried]) -> str:
    """The command that compares the methods, each with what was best for it.

    What was best for networks trained alone is every run's, and a method's own is what differs from it.
    """
    study, best = tuning.study, {method: best_of(own) for method, own in by_method(rows).items()}
    alone = best.get(BASELINE)
    common = {} if alone is None else {name: value for name, value in alone.settings.items() if name in SETTINGS}
    base = study.base.replace(**common)
    others = [
        str(with_settings(row, best_row.settings, base))
        for row in study.rows
        if str(row) != BASELINE and (best_row := best[str(row)])
    ]
    words = ["codistill", "compare", "--recipe", study.recipe.replace("-quick", "", 1) if study.quick else study.recipe]
    words += ["--quick"] if study.quick else []
    for name, value in {**tuning.fixed, **common}.items():
        words += [f"--{name.replace('_', '-')}", show_value(value)]
    return shlex.join([*words, *(["--methods", *others] if others else [])])


def _options(settings: Settings) -> str:
    return ", ".join(f"{name}={show_value(value)}" for name, value in settings.items())


__all__ = ["compare_command", "sentences", "tuning_table"]
