"""Why it works: what mutual learning does to minima, posteriors and peers, measured on finished runs.

The checks of Zhang et al. 2018, section 3.6, and more: one idea to a file, pure functions of networks and batches;
`analyze` applies them to the folders of runs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as Folder

from codistill import study as studies
from codistill.analysis import judge, measures
from codistill.analysis.judge import Finding
from codistill.analysis.measures import WIDER, NetworkMeasures, Path, Plane, Settings as Settings
from codistill.analysis.peers import PeerEpoch, over_epochs
from codistill.analysis.runs import log_lines, run_folders, trained_networks
from codistill.analysis.seeds import MethodMeans, method_means
from codistill.jsonable import from_json, to_json
from codistill.training.loop import restored

MADE_BY = "codistill analyze"


@dataclass(frozen=True)
class Examples:
    """On how many examples: ``shaken``, of the training part, for what needs many passes; ``train`` and ``test``, for
    what needs one.
    """

    shaken: int
    train: int
    test: int


@dataclass(frozen=True)
class Analysis:
    """What an analysis measured; `to_json` is ``analysis.json``.

    Attributes:
        made_by: the command.
        folders: that were analysed.
        settings: what was measured, and on how much.
        versions: of the packages.
        baseline: the name of the row that others are compared with; None where there is none.
        networks: every number of every network.
        planes: the loss around the first network of each method.
        paths: the loss between two networks of a run.
        data: the runs' data set.
        task: of the data.
        device: that it was measured on.
        n: how many examples.
        rows: means over seeds, paired differences.
        peers: how much peers differ, by epoch.
        findings: what the divergence curves in the logs say.
    """

    made_by: str
    folders: list[str]
    settings: Settings
    versions: dict[str, str]
    baseline: str | None
    networks: list[NetworkMeasures]
    planes: list[Plane]
    paths: list[Path]
    data: str
    task: str
    device: str
    n: Examples
    rows: list[MethodMeans]
    peers: list[PeerEpoch]
    findings: list[Finding]

    @property
    def labels(self) -> dict[str, str]:
        """Of each method, for people."""
        return {row.method: row.label.partition(", its ")[0] for row in reversed(self.rows)}

    def to_json(self) -> dict[str, object]:
        """Plain data: a number that is not finite is null, and what was skipped of a network is not there."""
        values: dict[str, object] = to_json(self, finite=True)
        findings = [{**to_json(finding, finite=True), "sentence": str(finding)} for finding in self.findings]
        return values | {"findings": findings}

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> "Analysis":
        """From what `to_json` gives; a number that was not finite stays None."""
        return from_json(cls, values)


def analyze(
    folders: Sequence[str | Folder], settings: Settings | None = None, *, say: Callable[[str], None] | None = None
) -> Analysis:
    """Measure the networks of runs, or of one comparison, as training left them.

    Args:
        folders: of runs (methods are told apart by their names, ``alone`` is the baseline), or of one comparison.
        settings: what is measured, and on how much.
        say: called with each step in words.

    Raises:
        FileNotFoundError: no run, or no checkpoint, in a folder.
        ValueError: settings or folders that do not fit together.
    """
    settings = settings or Settings()
    chosen = run_folders([Folder(folder) for folder in folders])
    networks: list[NetworkMeasures] = []
    planes: list[Plane] = []
    paths: list[Path] = []
    few, many = settings.examples, WIDER * settings.examples
    for folder, of_runs in chosen.items():
        if say:
            say(f"{folder}: {len(of_runs)} {'run' if len(of_runs) == 1 else 'runs'}")
        fleet = restored(folder, teachers=studies.teachers_of(folder))
        for run in trained_networks(of_runs, fleet, settings.networks, many, settings.seed):
            networks += [measures.measure_network(network, settings) for network in run]
            if run[0].method not in [plane.method for plane in planes]:
                planes += measures.planes(run[0], settings)
            paths += measures.paths(run, settings)
    train, test = len(fleet.streams.parts[0].train), len(fleet.dataset.test)
    rows = dict.fromkeys(row for of_runs in chosen.values() for row in of_runs.values())
    lines = log_lines(chosen)
    return Analysis(
        MADE_BY,
        list(map(str, folders)),
        settings,
        studies.versions(),
        next((row.method for row in rows if row.baseline), None),
        networks,
        planes,
        paths,
        str(fleet.run.data),
        fleet.dataset.task,
        str(fleet.device),
        Examples(min(train, few), min(train, many), min(test, many)),
        method_means(networks, sorted(rows, key=lambda row: not row.baseline)),
        over_epochs(lines),
        judge.merged(judge.findings(lines)),
    )
