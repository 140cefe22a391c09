"""How small a gain a comparison can see, before it is run and after."""

from pathlib import Path
from statistics import median, stdev

from codistill.report.numbers import count, percent
from codistill.statistics.power import detectable_gain
from codistill.study.entries import Study
from codistill.study.summary import Summary


def spreads(summary: Summary) -> dict[str, float]:
    """Of every row that has several seeds, how the difference from its counterparts spreads over them; not 0."""
    gains = {row.label: row.gain.per_seed for row in summary.rows if row.gain and len(row.gain.per_seed) > 1}
    return {label: sd for label, gain in gains.items() if (sd := stdev(gain)) > 0}


def pilot_spread(path: Path) -> float:
    """The median of the spreads of an earlier comparison.

    Args:
        path: its folder, or its ``summary.json``.

    Raises:
        ValueError: it has no spread.
    """
    file = path / "summary.json" if path.is_dir() else path
    found = spreads(Summary.read(file))
    if not found:
        raise ValueError(f"pilot={path} has no gain over several seeds: give a comparison of two or more seeds")
    return median(found.values())


def before(study: Study) -> str:
    """What a study will be able to see, as far as it is known before it is run; nothing of a quick look."""
    seeds = count(len(study.seeds), "seed")
    if study.quick or len(study.seeds) < 2:
        return ""
    if study.spread is None:
        return f"How small a gain {seeds} can detect is not known yet: give an earlier comparison as --pilot FOLDER."
    gain = percent(detectable_gain(study.spread, len(study.seeds)))
    return (
        f"{seeds} detect a true gain of {gain} points or more in four of five comparisons, if gains have a standard "
        f"deviation of {percent(study.spread)} points over seeds."
    )


def after(summary: Summary) -> str:
    """What a study could see with the spread that it had: of its rows, the least and the most."""
    found = sorted((sd, label) for label, sd in spreads(summary).items())
    if summary.quick or not found:
        return ""
    ends = [f"{percent(detectable_gain(sd, len(summary.seeds)))} points ({label})" for sd, label in found]
    gains = ends[0] if len(ends) == 1 else f"{ends[0]} to {ends[-1]}"
    return (
        f"With this spread over seeds, {count(len(summary.seeds), 'seed')} detect a true gain of {gains} or more in "
        "four of five comparisons; a smaller one may go unnoticed."
    )


__all__ = ["after", "before", "pilot_spread", "spreads"]
