import numpy as np
import pytest
from scipy import stats

from codistill.statistics.power import detectable_gain


@pytest.mark.parametrize("seeds", [2, 3, 5, 10, 40, 1000])
def test_the_power_is_80_percent_by_the_definition_of_the_noncentral_t(seeds):
    """P(|Z + d| > t sqrt(u / df)), averaged over u of chi-square."""
    df, d = seeds - 1, detectable_gain(1.0, seeds) * np.sqrt(seeds)
    reach = stats.t.ppf(0.975, df) * np.sqrt(stats.chi2.ppf((np.arange(20_000) + 0.5) / 20_000, df) / df)
    assert (stats.norm.sf(reach - d) + stats.norm.cdf(-reach - d)).mean() == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize("seeds", [2, 3, 10, 100])
def test_a_detectable_gain_is_detected_in_four_of_five_studies(seeds):
    d = np.random.default_rng(seeds).normal(detectable_gain(0.005, seeds), 0.005, (4000, seeds))
    assert (stats.ttest_1samp(d, 0.0, axis=1).pvalue <= 0.05).mean() == pytest.approx(0.8, abs=0.025)


def test_more_seeds_or_less_spread_see_more():
    assert detectable_gain(1.0, 10_000) == pytest.approx(2.8 / 100, rel=0.01)
    gains = [detectable_gain(1.0, seeds) for seeds in (2, 3, 5, 10, 20)]
    assert gains == sorted(gains, reverse=True)
    assert detectable_gain(2.0, 10) == pytest.approx(2 * detectable_gain(1.0, 10))


@pytest.mark.parametrize(("sd", "seeds", "said"), [(1.0, 1, "seeds=1"), (0.0, 5, "sd=0.0")])
def test_what_has_no_answer_is_refused(sd, seeds, said):
    with pytest.raises(ValueError, match=said):
        detectable_gain(sd, seeds)
