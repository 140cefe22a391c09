"""The recipes with wrong labels: their rows, and where their weight decay comes from."""

import json
from pathlib import Path

import pytest

from codistill import recipes
from codistill.methods import find

STUDIES = {
    "digits": ("wrong_labels", "symmetric:0.4"),
    "mnist_symmetric_50": ("wrong_labels_mnist", "symmetric:0.5"),
    "mnist_pair_45": ("wrong_labels_mnist:noise=pair,rate=0.45", "pair:0.45"),
    "mnist_symmetric_20": ("wrong_labels_mnist:noise=symmetric,rate=0.2", "symmetric:0.2"),
}
TUNING = Path(__file__).parents[2] / "benchmarks" / "results" / "tune_noise.json"


@pytest.fixture(params=STUDIES)
def case(request):
    """The name of a tuning, its study and its noise."""
    recipe, noise = STUDIES[request.param]
    return request.param, recipes.get(recipe), noise


def test_methods_that_choose_samples_know_the_true_rate_of_noise(case):
    _, study, noise = case
    assert str(study.base.noise) == noise
    rates = [entry.method.options["rate"] for entry in study.entries if "rate" in entry.method.options]
    assert rates == [float(noise.partition(":")[2])] * 6
    assert study.recipe == STUDIES[case[0]][0]


def test_rows_are_of_the_same_networks_so_that_any_two_can_be_compared_seed_by_seed(case):
    _, study, _ = case
    assert [entry.run.peers for entry in study.entries] == [4, *[2] * 6, 4, 4, *[2] * 4, 4]
    assert {entry.networks[0] for entry in study.entries} == {study.entries[0].networks[0]}
    assert [find(entry.method).__name__ for entry in study.entries[1:5]] == [
        "Alone",
        "SelfSelect",
        "CoTeaching",
        "JoCoR",
    ]


def test_the_weight_decay_is_the_best_for_networks_trained_alone_on_noisy_validation_data_of_other_seeds(case):
    name, study, _ = case
    tuned = json.loads(TUNING.read_text(encoding="utf-8"))[name]
    best = max(tuned["rows"], key=lambda row: row["valid_accuracy"])["weight_decay"]
    assert {entry.run.weight_decay for entry in study.entries} == {0.0, best}
    assert 0.0 < best < max(row["weight_decay"] for row in tuned["rows"])  # not at the end of what was tried
    assert not set(tuned["seeds"]) & set(study.seeds)
    alone = study.base.replace(method="alone", peers=tuned["networks_per_seed"]).as_dict()
    assert all(alone[setting] == value for setting, value in tuned["base"].items())
