"""What the scripts that tune recipes share: a score on validation data of seeds that no comparison uses."""

import statistics

from codistill.run import Run
from codistill.study.results import networks_of
from codistill.training.build import build_fleet
from codistill.training.results import results
from codistill.training.state import Training

SEEDS = tuple(range(100, 105))


def score(run: Run) -> tuple[float, float]:
    """Mean validation accuracy of a run's single networks over `SEEDS`, and its standard error."""
    training = Training(build_fleet([run.replace(seed=seed) for seed in SEEDS]), None)
    while training.step < training.fleet.total:
        training.advance()
    rows = networks_of(results(training.fleet, "valid"))
    per_seed = [statistics.fmean(r.values["accuracy"] for r in rows if r.seed == seed) for seed in SEEDS]
    return statistics.fmean(per_seed), statistics.stdev(per_seed) / len(SEEDS) ** 0.5
