"""`--quick` of every recipe through the command line: on tiny official files, and on the real ones that are there."""

import json
import os
from pathlib import Path

import pytest

import small_sets
from codistill import data, discovery, recipes
from codistill.cli import main
from codistill.recipes.quick import BATCH, EXAMPLES, NOTE, SEEDS, quick
from codistill.run import Run
from codistill.spec import Spec
from codistill.study import Study

REAL = os.environ.get(data.ROOT)
FILES = {  # where the real files of a set are, below its root
    "cifar10": ("cifar-10-batches-py", "cifar-10-batches-bin", "cifar-10-python.tar.gz"),
    "cifar100": ("cifar-100-python", "cifar-100-binary", "cifar-100-python.tar.gz"),
    "mnist": ("MNIST/raw",),
    "nsmc": ("nsmc",),
    "imdb": ("aclImdb",),
    "market1501": ("Market-1501-v15.09.15", "market1501"),
    "omniglot": ("omniglot-py",),
}
RECIPES = discovery.available("codistill.recipes")
# One of each set, and each kind of row: side by side, a teacher that is a network, branches, text, wrong labels.
USUAL = (
    "cskd",
    "digits",
    "few_labels",
    "kd_zoo",
    "omniglot_cohorts",
    "paper_market",
    "sentiment_imdb",
    "sentiment_mnist",
    "sentiment_nsmc",
    "silos_skewed",
    "views",
    "wrong_labels",
)
# The two that are longest are looked at with less still each time, and as they are where there are real files.
LESS = dict.fromkeys(("kd_zoo", "paper_market"), ("--seeds", "1", "--limit", "8", "--batch", "4"))


def set_of(recipe):
    return recipes.get(recipe).base.data.name


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CODISTILL_CACHE", str(tmp_path / "kept"))


def look_at(recipe, root, runs, *more):
    """Run a quick comparison, and look at everything that it writes."""
    words = ["--data-root", str(root), "--runs", str(runs), "--device", "cpu", *more]
    main(["compare", "--recipe", recipe, "--quick", *words])
    (folder,) = runs.iterdir()
    assert folder.name == f"{recipe}-quick"
    for name in ("report.html", "report.md"):
        assert NOTE in (folder / name).read_text(encoding="utf-8"), name
    found = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    small = quick(recipes.get(recipe))
    assert NOTE in found["notes"]
    assert found["seeds"] == list(small.seeds[:1] if more else small.seeds)
    assert [row["method"].partition(" [")[0] for row in found["rows"]] == [
        entry.name for entry in small.entries for _ in dict.fromkeys(entry.networks)
    ]
    assert found["n_test"] <= EXAMPLES
    assert all(row["gain_ci95"] is None for row in found["rows"])
    assert all("seconds" not in row["cost"] for row in found["rows"])
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "This is a quick look: it shows that everything works, and its figures mean nothing." in page
    assert all(0 <= row[f"{found['measure']}_mean"] <= 1 for row in found["rows"])


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_quick_look_at_a_recipe_ends_with_a_report_that_says_what_it_is(recipe, tmp_path):
    if recipe not in USUAL and not REAL:
        pytest.skip(f"longer: set {data.ROOT} for all recipes")
    if set_of(recipe) != "digits":
        (tmp_path / "files").mkdir()
        getattr(small_sets, set_of(recipe))(tmp_path / "files")
    look_at(recipe, tmp_path / "files", tmp_path / "runs", *(() if REAL else LESS.get(recipe, ())))


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if set_of(recipe) != "digits"])
def test_a_quick_look_works_on_the_real_files(recipe, tmp_path):
    if not REAL or not any((Path(REAL) / place).exists() for place in FILES[set_of(recipe)]):
        pytest.skip(f"{data.ROOT} names no folder with {set_of(recipe)}")
    look_at(recipe, REAL, tmp_path / "runs")


def test_a_recipe_of_every_set_is_looked_at_each_time():
    assert {set_of(recipe) for recipe in RECIPES} == {set_of(recipe) for recipe in USUAL}


# What becomes small ---------------------------------------------------------------------------------------------------


def study(*methods, recipe="mine", **settings):
    return Study(recipe, Run(**settings), ("alone", *methods), seeds=(3, 4, 5))


def small(*methods, **settings):
    return tuple(map(str, quick(study(*methods, **settings)).rows[1:]))


@pytest.mark.parametrize(
    ("row", "becomes"),
    [
        ("dml:models=wrn28_10+resnet32", "dml:models=wrn16_2+resnet32"),
        ("dml:models=wrn28_10+wrn28_10", "dml:models=wrn16_2+wrn16_2"),
        ("kd:teacher=resnet110", "kd:teacher=resnet32"),
        ("dml:models=resnet110:start=alone+resnet20", "dml:models=resnet32:start=alone+resnet20"),
        ("kd:teacher=runs/my_resnet110,weight=1", "kd:teacher=runs/my_resnet110,weight=1"),  # a folder of one's own
        ("kd:teacher=runs/resnet110b,weight=1", "kd:teacher=runs/resnet110b,weight=1"),
        ("dml:models=resnet110:shortcut=a+resnet32", "dml:models=resnet32:shortcut=a+resnet32"),
        ("dml:models=preact_resnet18:form=released+resnet32", "dml:models=resnet20+resnet32"),
        ("dml:models=preact_resnet18+resnet32", "dml:models=resnet20+resnet32"),
    ],
)
def test_whole_words_become_small_and_nothing_else(row, becomes):
    assert small(row) == (becomes,)


def test_networks_and_sizes_of_the_run_become_small():
    base = quick(study("dml", models=("wrn28_10", "resnet110"), data="market1501:height=224,width=224")).base
    assert base.models == (Spec("wrn16_2"), Spec("resnet32"))
    assert base.data.options["height"] == base.data.options["width"] <= 64


def test_texts_become_short_and_their_tokenizer_one_that_is_soon_trained():
    base = quick(recipes.get("sentiment_imdb")).base
    assert str(base.data) == "imdb:outputs=1,length=64,tokenizer=words,vocabulary=1000"


def test_the_rest_of_a_study_stays_what_it_is():
    long = study("dml", labels=300, valid=300, batch=500, epochs=40, evaluate_every=10, optimizer="adam", average=0.9)
    base = quick(long).base
    assert (base.limit, base.labels, base.valid) == (EXAMPLES, EXAMPLES // 2, 0.2)
    assert (base.batch, base.epochs, base.evaluate_every) == (BATCH, 1, 1)
    assert (base.optimizer, base.average, base.learning_rate) == ("adam", 0.9, long.base.learning_rate)
    assert quick(long).seeds == (3, 4)[:SEEDS]
    plain = quick(study("dml", batch=8)).base
    assert (plain.labels, plain.valid, plain.batch, plain.evaluate_every) == (None, 0.0, 8, 0)


@pytest.mark.parametrize(
    ("recipe", "becomes"),
    [("mine", "mine-quick"), ("mine:data=cifar10", "mine-quick:data=cifar10"), ("a:b=c:d=e", "a-quick:b=c:d=e")],
)
def test_a_name_keeps_its_options(recipe, becomes):
    assert quick(study("dml", recipe=recipe)).recipe == becomes


def test_the_note_is_added_to_the_notes_of_a_study():
    long = recipes.get("kd_zoo:data=cifar100")
    assert quick(long).notes == (*long.notes, NOTE)
    assert quick(long).recipe == "kd_zoo-quick:data=cifar100"
    assert quick(long).published == long.published
