"""What crosses between the peers of every row of a study."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codistill.jsonable import from_json
from codistill.run import Run
from codistill.training.fleet import peers_by_run
from codistill.training.records import read_log
from codistill.training.traffic import Traffic

if TYPE_CHECKING:
    from codistill.study import Part
    from codistill.study.entries import Study


@dataclass(frozen=True)
class RowTraffic:
    """The traffic of a row."""

    method: str
    label: str
    traffic: Traffic


def traffic_of_rows(study: "Study", parts: Sequence["Part"]) -> tuple[RowTraffic, ...]:
    """That of each entry whose peers tell each other something, from the logs; older logs do not say."""
    entries = {entry.run: entry for entry in study.entries}
    of_runs: dict[Run, object] = {}
    for part in parts:
        starts = [line for line in read_log(part.folder) if line["kind"] == "start"]
        lines = starts[-1].get("traffic", ()) if starts else ()
        lines = lines if isinstance(lines, list) else ()
        of_runs |= {run: line for run, line in zip(peers_by_run(part.runs), lines, strict=False) if line}
    first = {run: of_runs.get(run.replace(seed=study.seeds[0])) for run in entries}
    return tuple(
        RowTraffic(e.name, e.label, from_json(Traffic, first[run])) for run, e in entries.items() if first[run]
    )
