"""Why it works: what mutual learning does to minima, posteriors and peers, measured on finished runs.

The checks of Zhang et al. 2018, section 3.6, and more: one idea to a file, pure functions of networks and batches;
`analyze` brings them to the folders of runs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from codistill import study as studies
from codistill.analysis import measures, peers, seeds, watch
from codistill.analysis.measures import WIDER, Settings
from codistill.analysis.subjects import Place, Row, cohort_of, lines_of, places, subjects

MADE_BY = "codistill analyze"


def analyze(
    folders: Sequence[str | Path],
    settings: Settings | None = None,
    *,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Measure the networks of runs, or of one comparison, as training left them.

    Args:
        folders: of runs (methods are told apart by their names, ``alone`` is the baseline), or of one comparison.
        settings: what is measured, and on how much.
        say: is told what is being done.

    Returns: plain data for JSON: ``networks`` (every number), ``rows`` (means over seeds, paired differences),
        ``planes`` and ``paths`` (surfaces), ``peers`` (over epochs) and ``findings`` (of the KL watch).

    Raises:
        FileNotFoundError: no run, or no checkpoint, in a folder.
        ValueError: settings or folders that do not fit together.
    """
    settings = settings or Settings()
    where = places([Path(folder) for folder in folders])
    methods = _methods(where)
    found: dict[str, Any] = {
        "made_by": MADE_BY,
        "folders": [str(folder) for folder in folders],
        "settings": asdict(settings),
        "versions": studies.versions(),
        "baseline": next((row.method for row in methods if row.baseline), None),
        "networks": [],
        "planes": [],
        "paths": [],
    }
    for place in where:
        if say is not None:
            say(f"{place.folder}: {len(place.rows)} {'run' if len(place.rows) == 1 else 'runs'}")
        found |= _look(place, settings, found)
    lines = lines_of(where)
    found["rows"] = seeds.rows(found["networks"], methods)
    found["peers"] = peers.over_epochs(lines)
    found["findings"] = [asdict(one) | {"sentence": str(one)} for one in watch.merged(watch.findings(lines))]
    return dict(_plain(found))


def _methods(where: Sequence[Place]) -> list[Row]:
    """The rows, the baseline first."""
    rows = dict.fromkeys(row for place in where for row in place.rows.values())
    return sorted(rows, key=lambda row: not row.baseline)


def _look(place: Place, settings: Settings, found: dict[str, Any]) -> dict[str, Any]:
    """Add what there is to measure in one folder."""
    fleet = cohort_of(place)
    networks, planes, ways = list(found["networks"]), list(found["planes"]), list(found["paths"])
    runs = subjects(
        place, fleet, networks=settings.networks, examples=WIDER * settings.examples, seed=settings.seed
    )  # fmt: skip
    for run in runs:
        networks += [measures.measure(subject, settings) for subject in run]
        if "surface" not in settings.skip and run[0].method not in [plane["method"] for plane in planes]:
            planes.append(measures.plane(run[0], settings))
        if "path" not in settings.skip:
            ways += measures.paths(run, settings)
    about = {"data": str(fleet.run.data), "task": fleet.dataset.task, "device": str(fleet.device)}
    sizes = [min(len(part), WIDER * settings.examples) for part in (fleet.streams.parts[0].train, fleet.dataset.test)]
    return {
        **about,
        "n": {"shaken": min(sizes[0], settings.examples), "train": sizes[0], "test": sizes[1]},
        "networks": networks,
        "planes": planes,
        "paths": ways,
    }


def _plain(value: Any) -> Any:
    """For JSON: what is no finite number is null, tuples are lists."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


__all__ = ["MADE_BY", "Settings", "analyze"]
