"""The interval of a gain for other seeds and other test examples at once."""

import math

import numpy as np
from numpy.typing import ArrayLike


def crossed_interval(differences: ArrayLike, level: float = 0.95) -> tuple[float, float, float]:
    """(mean, low, high) of d_sn = mean + seed_s + example_n + rest_sn, one for each seed and example.

    Two-way analysis of variance with both factors random. With MS the mean squares of the S seeds, the N examples and
    the rest, the variance of the mean is

        (MS_seeds + max(0, MS_examples - MS_rest)) / (S N)

    whose first part alone gives Student's interval over seeds. The interval is mean -+ t_{min(S, N) - 1} times its
    root, and so never narrower than Student's; where the examples outweigh the seeds, these degrees of freedom are too
    few, and it covers more than `level`. A bootstrap of seeds and of examples counts the rest twice (Owen, the
    pigeonhole bootstrap, doi:10.1214/07-AOAS122).

    Args:
        differences: ``[S, N]``: of each seed and example, how often a method is right less how often the baseline is.
        level: of the interval.

    Raises:
        ValueError: fewer than two seeds or examples; `level` outside (0, 1).
    """
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 2 or min(d.shape) < 2:
        raise ValueError(
            f"differences of shape {list(d.shape)}: give two or more seeds, with two or more examples each"
        )
    if not 0.0 < level < 1.0:
        raise ValueError(f"level={level}: choose one between 0 and 1, such as 0.95")
    from scipy import stats

    s, n = d.shape
    mean, by_seed, by_example = float(d.mean()), d.mean(1, keepdims=True), d.mean(0, keepdims=True)
    seeds = n * np.square(by_seed - mean).sum() / (s - 1)
    examples = s * np.square(by_example - mean).sum() / (n - 1)
    rest = np.square(d - by_seed - by_example + mean).sum() / ((s - 1) * (n - 1))
    error = math.sqrt((seeds + max(0.0, examples - rest)) / d.size)
    reach = float(stats.t.ppf(0.5 + level / 2, min(s, n) - 1)) * error
    return mean, mean - reach, mean + reach


__all__ = ["crossed_interval"]
