"""Are two given networks equally often right?"""

from codistill.checks import whole


def mcnemar(lost: int, gained: int) -> float:
    """The exact p-value of McNemar's test: is a change that matters as likely for the better as for the worse?

    Under this hypothesis, of the ``lost + gained`` examples that only one of two networks has right, those of the
    second are binomial with probability 1/2; two-sided. It speaks of these two networks and other examples of the same
    kind, never of the methods that trained them: another seed is another network.

    Args:
        lost: count of the examples that the first network has right and the second has not.
        gained: count of those that the second has right and the first has not.
    """
    from scipy.stats import binomtest

    differing = whole("lost: count", lost, 0) + whole("gained: count", gained, 0)
    return float(binomtest(gained, differing, 0.5).pvalue) if differing else 1.0


__all__ = ["mcnemar"]
