"""Scikit-learn's handwritten digits with few labels: small, real, and nothing to download."""

from codistill.study import Row, Study
from codistill.tuned import DIGITS

SPREAD = 0.0028  # of a gain over seeds: the median of the rows of benchmarks/results/digits.json


def digits() -> Study:
    """300 labelled digits, a small CNN, 10 seeds: alone, label smoothing, DML with 2 and 4 peers, DML_e, KD.

    Network, epochs, rate and decay were tuned for `alone` on validation data of other seeds
    (`benchmarks/tune_digits.py`); the other methods take them over with their published defaults. Every row is trained
    twice on each seed's labels, which measures churn.
    """
    rows = (
        Row("alone"),
        Row("alone", label_smoothing=0.1),
        Row("dml", peers=2),
        Row("dml", peers=4),
        Row("dml_ensemble", peers=4),
        Row("kd", teacher="alone", graph="ring"),
    )
    return Study("digits", DIGITS, rows, seeds=tuple(range(10)), retrainings=2, spread=SPREAD)


__all__ = ["digits"]
