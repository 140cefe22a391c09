"""How small a gain a number of seeds can see."""

import math

from codistill.checks import number, whole

POWER, LEVEL = 0.8, 0.95


def detectable_gain(sd: float, seeds: int) -> float:
    """The smallest true gain whose 95 % interval leaves out zero in 80 % of all studies of n seeds.

    Student's paired t: P(|t'| > t_{n-1}) = 0.8, t' of the noncentral t with n - 1 degrees of freedom and noncentrality
    gain sqrt(n) / sd; computed as t'^2, of the noncentral F with (1, n - 1). About 2.8 sd / sqrt(n) for many seeds. A
    smaller gain may well be there and not be seen.

    Args:
        sd: standard deviation over seeds of the paired difference; above 0.
        seeds: how many, at least 2.
    """
    from scipy import special

    degrees = whole("seeds", seeds, 2) - 1
    limit = special.stdtrit(degrees, 0.5 + LEVEL / 2) ** 2
    noncentrality = special.ncfdtrinc(1, degrees, 1 - POWER, limit)
    return number("sd", sd, above=True) * math.sqrt(float(noncentrality) / seeds)


__all__ = ["detectable_gain"]
