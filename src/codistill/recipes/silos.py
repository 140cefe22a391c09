"""Peers that know different things, on scikit-learn's digits: private labels, few labels, parts of the image.

Rates and decays were tuned for `alone`, thresholds and weights for pseudo labels, on validation data of other seeds
(`benchmarks/tune_silos.py`). DML takes over what `alone` has, with weight 1 and a ramp of 0.3 that nobody tuned.
"""

from codistill.recipes.digits import digits
from codistill.run import Run
from codistill.study import Row, Study

MUTUAL = {"ramp": 0.3}
HARD = {**MUTUAL, "target": "hard"}
POOLED = "Alone, all labels pooled: the upper bound; every network has the labels of all silos."
SKEWED = "Peers with private labels, of some classes each"
HALVES = ("mlp:view=left", "mlp:view=right")
QUARTERS = ("mlp:view=quarter1", "mlp:view=quarter2", "mlp:view=quarter3", "mlp:view=quarter4")


def silos() -> Study:
    """Four silos of 20 private labels each and a common unlabelled pool: what peers tell each other, 10 seeds.

    What crosses between them is what they predict on 60 common samples in a step. The upper bound, `alone:shards=none`,
    has the labels of all four.
    """
    run = _on_digits(labels=80, unlabelled=60, shards="equal", learning_rate=1e-3, weight_decay=1.0)
    rows = (
        Row("alone"),
        Row("pseudo", weight=0.3, select="confident:0.7", **MUTUAL),
        Row("dml", **MUTUAL),
        Row("alone", shards="none"),
    )
    return Study(
        "silos", run, rows, SEEDS, notes=(POOLED,), question="Peers with private labels", retrainings=2, retrained=AGAIN
    )


def silos_skewed() -> Study:
    """Four silos that know 5 of the 10 classes each, 40 private labels, and a common unlabelled pool, 10 seeds.

    Every class has two owners. The target of a peer is the mean of three others, of which one or two know the class.
    """
    run = _on_digits(labels=160, unlabelled=60, shards="classes:per=5", learning_rate=3e-3, weight_decay=0.1)
    rows = (
        Row("alone"),
        Row("pseudo", weight=0.1, **MUTUAL),
        Row("dml", **MUTUAL),
        Row("alone", shards="none"),
    )
    return Study("silos_skewed", run, rows, SEEDS, notes=(POOLED,), question=SKEWED, retrainings=2, retrained=AGAIN)


def few_labels() -> Study:
    """50 labelled digits that all peers have in common, and the rest unlabelled, 10 seeds.

    Peers differ in their initial weights alone; unlabelled samples are where they differ in what they predict.
    """
    run = _on_digits(labels=50, unlabelled=60, batch=25, learning_rate=3e-3, weight_decay=1.0)
    rows = (
        Row("alone"),
        Row("pseudo", select="confident:0.7", **MUTUAL),
        Row("dml", unlabelled=0, **MUTUAL),
        Row("dml", **MUTUAL),
        Row("dml", **HARD),
    )
    return Study(
        "few_labels",
        run,
        rows,
        SEEDS,
        question="Peers with the same few labels, and unlabelled samples",
        retrainings=2,
        retrained=AGAIN,
    )


def views(parts: int = 2) -> Study:
    """Each network sees a half (``parts=2``) or a quarter (4) of each digit, 10 seeds.

    The control is pseudo labels, one network by itself with its part; the bound is a network that sees all. Settings
    were tuned for halves, with 50 labels; quarters have 100.
    """
    models = {2: HALVES, 4: QUARTERS}
    if parts not in models:
        raise ValueError(f"views: parts={parts}: give 2 for halves, 4 for quarters")
    run = _on_digits(
        labels=25 * parts,
        unlabelled=60,
        batch=25,
        models=models[parts],
        peers=parts,
        learning_rate=3e-3,
        weight_decay=0.01,
    )
    rows = (
        Row("alone"),
        Row("alone", models=("mlp",)),
        Row("pseudo", weight=0.3, select="confident:0.7", **MUTUAL),
        Row("dml", **MUTUAL),
        Row("dml", **HARD),
    )
    recipe = "views" if parts == 2 else f"views:parts={parts}"
    return Study(
        recipe, run, rows, SEEDS, question="Peers that see a part of each image", retrainings=2, retrained=AGAIN
    )


def same_labels() -> Study:
    """300 labelled digits that all peers have in common, 10 seeds: DML-2 against `alone`.

    The shorter form of `digits`: peers that differ in their initial weights alone have little to tell each other.
    """
    rows = (Row("alone"), Row("dml", peers=2))
    question = "Peers with all labels in common"
    return Study("same_labels", digits().base, rows, SEEDS, question=question, retrainings=2, retrained=AGAIN)


def _on_digits(**settings: object) -> Run:
    """Four small networks and 300 steps, of which an epoch is a stretch between logs."""
    run = Run(data="digits", models=("mlp",), peers=4, optimizer="adamw", steps=300, epochs=10, batch=20)
    return run.replace(**settings)


SEEDS = tuple(range(10))
AGAIN = 3  # seeds with two trainings, for the churn: a third as much time again

__all__ = ["few_labels", "same_labels", "silos", "silos_skewed", "views"]
