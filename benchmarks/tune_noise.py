"""Tune the weight decay of `alone` for the recipes with wrong labels, on noisy validation data of seeds not reported.

    python benchmarks/tune_noise.py [NAME ...]      # of STUDIES; all of them without a name
    python benchmarks/tune_noise.py [NAME ...] --option agreement       # JoCoR's, without weight decay

The best decay by mean validation accuracy is the tuned one of `recipes/wrong_labels.py`. The validation labels are as
wrong as those for training: nobody who has wrong labels alone could tune on others. Writes
`benchmarks/results/tune_noise.json`, after each study; what is in it for the same settings is not measured again.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from codistill import recipes
from codistill.study import Row, versions
from tuning import SEEDS, tuned

NETWORKS = 2
DECAYS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
AGREEMENTS = (0.1, 0.3, 0.5, 0.7, 0.9)  # the last is the default; its authors name 0.5 to 0.9
STUDIES = {
    "digits": "wrong_labels",
    "mnist_symmetric_50": "wrong_labels_mnist",
    "mnist_pair_45": "wrong_labels_mnist:noise=pair,rate=0.45",
    "mnist_symmetric_20": "wrong_labels_mnist:noise=symmetric,rate=0.2",
}
OUT = Path(__file__).parent / "results" / "tune_noise.json"


def tune(name: str, option: str) -> None:
    """All values of an option in one study, the best first."""
    recipe = recipes.get(STUDIES[name])
    base = recipe.base.replace(method="alone", peers=NETWORKS)
    settings = {k: v for k, v in base.as_dict().items() if k not in ("data_root", "weight_decay")}
    key = name if option == "weight_decay" else f"{name}_{option}"
    if read().get(key, {}).get("base") == settings:
        return
    if option == "weight_decay":
        rows = tuned(recipe, {option: DECAYS}, Row("alone", peers=NETWORKS))
    else:
        rows = tuned(recipe, {option: AGREEMENTS}, Row("jocor", rate=base.noise.args[0], peers=NETWORKS))
    found = {
        "command": f"python benchmarks/tune_noise.py {name} --option {option}",
        "seeds": SEEDS,
        "networks_per_seed": NETWORKS,
        "base": settings,
        "rows": rows,
        "versions": versions(),
    }
    # Read again: another process may have tuned another study meanwhile.
    OUT.write_text(json.dumps({**read(), key: found}, indent=1) + "\n", encoding="utf-8")


def read() -> dict[str, Any]:
    """What has been tuned so far."""
    return json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(STUDIES))
    parser.add_argument("--option", choices=("weight_decay", "agreement"), default="weight_decay")
    asked = parser.parse_args()
    for name in asked.names or STUDIES:
        tune(name, asked.option)


if __name__ == "__main__":
    main()
