"""Tune the weight decay of `alone` for the recipes with wrong labels, on noisy validation data of seeds not reported.

    python benchmarks/tune_noise.py [NAME ...]      # of STUDIES; all of them without a name

The best decay by mean validation accuracy is the tuned one of `recipes/wrong_labels.py`. The validation labels are as
wrong as those for training: nobody who has wrong labels alone could tune on others. Writes
`benchmarks/results/tune_noise.json`, after each study; what is in it for the same settings is not measured again.
"""

import argparse
import json
import statistics
from pathlib import Path

from codistill import recipes
from codistill.run import Run
from codistill.study import versions
from codistill.study.results import networks_of
from codistill.training.build import build_fleet
from codistill.training.results import results
from codistill.training.state import Training

SEEDS = tuple(range(100, 105))
NETWORKS = 2
DECAYS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
STUDIES = {
    "digits": "wrong_labels",
    "mnist_symmetric_50": "wrong_labels_mnist",
    "mnist_pair_45": "wrong_labels_mnist:noise=pair,rate=0.45",
    "mnist_symmetric_20": "wrong_labels_mnist:noise=symmetric,rate=0.2",
}
OUT = Path(__file__).parent / "results" / "tune_noise.json"


def score(run: Run) -> tuple[float, float]:
    """Mean validation accuracy of networks trained alone, and its standard error over seeds."""
    training = Training(build_fleet([run.replace(seed=seed) for seed in SEEDS]), None)
    while training.step < training.fleet.total:
        training.advance()
    rows = networks_of(results(training.fleet, "valid"))
    per_seed = [statistics.fmean(r.values["accuracy"] for r in rows if r.seed == seed) for seed in SEEDS]
    return statistics.fmean(per_seed), statistics.stdev(per_seed) / len(SEEDS) ** 0.5


def tune(name: str) -> None:
    """All decays of one study, the best first."""
    base = recipes.get(STUDIES[name]).base.replace(method="alone", peers=NETWORKS)
    settings = {k: v for k, v in base.as_dict().items() if k not in ("data_root", "weight_decay")}
    written = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {}
    rows = written[name]["rows"] if name in written and written[name]["base"] == settings else []
    for decay in sorted(set(DECAYS) - {row["weight_decay"] for row in rows}):
        mean, error = score(base.replace(weight_decay=decay))
        rows.append({"weight_decay": decay, "valid_accuracy": mean, "standard_error": error})
        print(f"{name}: weight decay {decay}: {100 * mean:.2f} +- {100 * error:.2f}", flush=True)
    rows.sort(key=lambda row: -row["valid_accuracy"])
    found = {
        "command": f"python benchmarks/tune_noise.py {name}",
        "seeds": SEEDS,
        "networks_per_seed": NETWORKS,
        "base": settings,
        "rows": rows,
        "versions": versions(),
    }
    OUT.write_text(json.dumps({**written, name: found}, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(STUDIES))
    for name in parser.parse_args().names or STUDIES:
        tune(name)


if __name__ == "__main__":
    main()
