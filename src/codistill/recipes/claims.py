"""The paper's claims at a size for two cores: cohort size (figure 2), heterogeneous pairs and
distillation (tables 2 and 4), entropy (section 3.6)."""

from codistill.recipes.digits import digits
from codistill.run import Run
from codistill.study import Row, Study

SIZES = (Row("alone"), *(Row("dml", peers=peers) for peers in range(2, 6)))
SEEDS = tuple(range(10))


def digits_cohorts() -> Study:
    """One to five networks on 300 labelled digits, single and as an ensemble, 10 seeds."""
    return Study("digits_cohorts", digits().base, SIZES, SEEDS)


def digits_entropy() -> Study:
    """DML beside other ways to less certain posteriors on 300 labelled digits, 10 seeds: smoothing, entropy, DML_e."""
    rows = (
        Row("alone"),
        Row("alone", label_smoothing=0.1),
        Row("alone", confidence_penalty=0.1),
        Row("alone", confidence_penalty=0.3),
        Row("dml", peers=4),
        Row("dml_ensemble", peers=4),
        Row("dml_ensemble", peers=4, mean="geometric"),
    )
    return Study("digits_entropy", digits().base, rows, SEEDS)


def digits_pairs() -> Study:
    """A large network with a small one on 300 labelled digits, 10 seeds: trained together, or the large one first."""
    large = "cnn:width=16"
    rows = (Row("alone"), Row("dml", peers=2), Row("dml", models=(large, "cnn")), Row("kd", teacher=large))
    return Study("digits_pairs", digits().base, rows, SEEDS)


def omniglot_cohorts() -> Study:
    """One to five networks trained on 20 alphabets; retrieval in 10 others, single and with all embeddings together."""
    run = Run(
        data="omniglot:size=20",
        augment=("crop:pad=1,mode=zeros",),
        models=("cnn:width=16",),
        batch=64,
        epochs=8,
        learning_rate=0.1,
        weight_decay=5e-4,
        schedule="cosine",
        checkpoint_every=4,
    )
    return Study("omniglot_cohorts", run, SIZES, SEEDS[:3])


__all__ = ["digits_cohorts", "digits_entropy", "digits_pairs", "omniglot_cohorts"]
