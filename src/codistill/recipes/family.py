"""The whole family side by side on digits, at equal epochs."""

from codistill.run import Run
from codistill.study import Study

METHODS = (
    "alone",
    "alone:label_smoothing=0.1",
    "alone:confidence_penalty=0.1",
    "dml:peers=4",
    "dml_ensemble:peers=4",
    "dml_ensemble:peers=4,mean=geometric",
    "kd",
    "logits",
    "fitnet",
    "at",
    "nst",
    "rkd",
    "ofd",
    "afd",
    "cml:peers=4",
    "udml:peers=4",
    "ddgsd",
    "pskd",
    "cskd",
    "tfkd",
    "tfkd_reg",
    "byot",
    "one:peers=4,branch_at=stage3",
    "clilr:peers=4,branch_at=stage3",
    "okddip:peers=4",
    "okddip:peers=4,branch_at=stage3",
    "kdcl:peers=4",
    "pcl:peers=4",
    "mmt:peers=4",
    "codistillation:peers=4",
    "dkd",
    "dist",
    "lskd",
    "ktg:peers=4",
)


def family(learning_rate: float = 0.4, weight_decay: float = 4e-3) -> Study:
    """300 labelled digits shifted by a pixel, a small CNN, 10 seeds: every single-machine method at its defaults.

    Rate and decay were tuned for `alone` on validation data of other seeds, with the budget that every method got
    (`benchmarks/family.py`). Where peers learn from each other there are 4 of them.
    """
    run = Run(
        data="digits",
        labels=300,
        valid=300,
        augment=("crop:pad=1",),
        models=("cnn",),
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        schedule="cosine",
        epochs=60,
        batch=30,
        execute="stack",
    )
    return Study(recipe="family", base=run, methods=METHODS, seeds=tuple(range(10)))


__all__ = ["family"]
