"""Peers that know different things: what differs between the rows of a recipe, and what does not."""

import json
from pathlib import Path

import pytest

from codistill import recipes
from codistill.recipes.digits import digits

TUNED = json.loads((Path(__file__).parents[2] / "benchmarks" / "results" / "tune_silos.json").read_text())["recipes"]
NAMES = ("silos", "silos_skewed", "few_labels", "views")


@pytest.mark.parametrize("name", NAMES)
def test_the_baseline_and_its_control_have_what_was_tuned(name):
    study, found = recipes.get(name), TUNED[name]
    best = found["alone"][0]
    assert (study.base.learning_rate, study.base.weight_decay) == (best["learning_rate"], best["weight_decay"])
    own = next(entry.method.options for entry in study.entries if entry.method.name == "pseudo")
    best = found["pseudo"][0]["valid_accuracy"]
    chosen = [str(own.get("select", "all")), own.get("weight", 1.0)]
    assert chosen in [[r["select"], r["weight"]] for r in found["pseudo"] if r["valid_accuracy"] > best - 1e-9]


@pytest.mark.parametrize("name", NAMES)
def test_mutual_learning_is_not_tuned(name):
    mutual = [entry for entry in recipes.get(name).entries if entry.method.name == "dml"]
    assert mutual
    for entry in mutual:
        assert {**entry.method.options, "target": None} == {"ramp": 0.3, "target": None}


@pytest.mark.parametrize("name", ["silos", "silos_skewed"])
def test_silos_have_private_labels_but_for_the_upper_bound(name):
    private = {entry.name: entry.run.private for entry in recipes.get(name).entries}
    assert [entry for entry, own in private.items() if not own] == ["alone:shards=none"]


@pytest.mark.parametrize("parts", [2, 4])
def test_views_see_a_part_each_but_for_the_bound(parts):
    study = recipes.get(f"views:parts={parts}")
    assert study.base.peers == parts
    views = {entry.name: {net.options.get("view") for net in entry.networks} for entry in study.entries}
    assert views.pop("alone:models=mlp") == {None}
    assert all(len(seen) == parts and None not in seen for seen in views.values())


def test_an_image_has_two_halves_or_four_quarters():
    with pytest.raises(ValueError, match="parts=3: give 2 for halves, 4 for quarters"):
        recipes.get("views:parts=3")


def test_the_same_labels_are_the_recipe_digits_with_fewer_rows():
    study = recipes.get("same_labels")
    assert study.base == digits().base
    assert set(study.rows) < set(digits().rows)
