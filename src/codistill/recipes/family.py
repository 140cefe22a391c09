"""The whole family side by side on digits, at equal epochs."""

from codistill.recipes.digits import digits
from codistill.study import Row, Study

NEXT = {"teacher": "alone", "graph": "ring"}  # each student is taught by the next network trained alone
ROWS = (
    Row("alone"),
    Row("alone", label_smoothing=0.1),
    Row("alone", confidence_penalty=0.1),
    Row("dml", peers=4),
    Row("dml_ensemble", peers=4),
    Row("dml_ensemble", peers=4, mean="geometric"),
    *(Row(name, **NEXT) for name in ("kd", "logits", "fitnet", "at", "nst", "rkd", "ofd", "afd")),
    Row("cml", peers=4, **NEXT),
    Row("udml", peers=4),
    *(Row(name) for name in ("ddgsd", "pskd", "cskd")),
    Row("tfkd", teacher="alone"),
    Row("tfkd_reg"),
    Row("byot"),
    Row("one", peers=4, branch_at="stage3"),
    Row("clilr", peers=4, branch_at="stage3"),
    Row("okddip", peers=4),
    Row("okddip", peers=4, branch_at="stage3"),
    *(Row(name, peers=4) for name in ("kdcl", "pcl", "mmt", "codistillation")),
    *(Row(name, **NEXT) for name in ("dkd", "dist", "lskd")),
    Row("ktg", peers=4),
)


def family(learning_rate: float = 0.4, weight_decay: float = 4e-3) -> Study:
    """300 labelled digits shifted by a pixel, a small CNN, 10 seeds: every single-machine method at its defaults.

    Rate and decay were tuned for `alone` on validation data of other seeds, with the budget that every method got
    (`benchmarks/family.py`). Where peers learn from each other there are 4 of them.
    """
    run = digits().base.replace(
        augment=("crop:pad=1",),
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        evaluate_every=0,
        execute="stack",
    )
    return Study("family", run, ROWS, seeds=tuple(range(10)))


__all__ = ["family"]
