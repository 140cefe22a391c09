"""Do the statistics of reports keep what they promise? Simulated studies whose truth is known.

    python benchmarks/coverage.py [--studies 1000]

Writes `benchmarks/results/coverage.json`, and what it comes to as `benchmarks/results/coverage.md`.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist, fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from codistill.statistics.crossed import crossed_interval
from codistill.statistics.holm import holm
from codistill.statistics.interval import paired_interval
from codistill.statistics.jackknife import pairs_interval
from codistill.statistics.mcnemar import mcnemar
from codistill.statistics.power import detectable_gain

OUT = Path(__file__).parent / "results" / "coverage.json"
STUDIES, EXAMPLES, DRAWS = 1000, 797, 200
SEEDS = (3, 5, 10, 20)
SPREADS = (0.0, 0.1, 0.3)

Bits = NDArray[np.float64]
Bounds = tuple[float, float]


@dataclass(frozen=True)
class World:
    """Where a network of seed s is right on example n if a sum of normal draws is above zero.

    Attributes:
        start: spread over seeds that a method and its baseline share: labels, initial weights.
        training: spread over seeds of each by itself.
        difficulty: spread over examples that both share.
        taste: spread over examples of each by itself: those that it is better at.
        gain: of the method, in the sum; its last part has spread 1.
        height: of the baseline, in the sum.
    """

    start: float
    training: float
    difficulty: float
    taste: float
    gain: float = 0.1
    height: float = 1.5

    @property
    def truth(self) -> float:
        """The gain in accuracy over all seeds and examples."""
        spread = float(np.sqrt(1 + self.start**2 + self.training**2 + self.difficulty**2 + self.taste**2))
        method, baseline = (NormalDist().cdf((self.height + more) / spread) for more in (self.gain, 0.0))
        return method - baseline

    def differences(self, seeds: int, examples: int, random: np.random.Generator) -> Bits:
        """Of one study ``[S, N]``: 1 where only the method is right, -1 where only the baseline is."""
        column = seeds, 1
        shared = self.start * random.standard_normal(column) + self.difficulty * random.standard_normal(examples)
        method, baseline = (
            self.height + more + shared + self.training * random.standard_normal(column)
            + self.taste * random.standard_normal(examples) + random.standard_normal((seeds, examples)) > 0
            for more in (self.gain, 0.0)
        )  # fmt: skip
        return method.astype(float) - baseline


WORLDS = {
    "only seeds differ": World(0.3, 0.3, 1.0, 0.0),
    "examples matter little": World(0.1, 0.05, 2.0, 0.2),
    "examples matter much": World(0.1, 0.05, 2.0, 0.5),
    "only examples differ": World(0.0, 0.0, 2.0, 1.0),
}


def student(d: Bits, random: np.random.Generator) -> Bounds:
    """Over seeds alone."""
    _, low, high = paired_interval(d.mean(1))
    return low, high


def crossed(d: Bits, random: np.random.Generator) -> Bounds:
    """Over seeds and examples."""
    _, low, high = crossed_interval(d)
    return low, high


def pigeonhole(d: Bits, random: np.random.Generator) -> Bounds:
    """Seeds and examples drawn again, each by itself."""
    seeds, examples = (random.multinomial(n, [1 / n] * n, DRAWS) for n in d.shape)
    low, high = np.quantile(((seeds @ d) * examples).sum(1) / d.size, (0.025, 0.975))
    return float(low), float(high)


INTERVALS: dict[str, Callable[[Bits, np.random.Generator], Bounds]] = {
    "student": student,
    "crossed": crossed,
    "bootstrap": pigeonhole,
}


def coverage(world: World, seeds: int, studies: int, interval: str, examples: int = EXAMPLES) -> tuple[float, float]:
    """In how many studies an interval holds the truth, and how wide it is on average (points)."""
    random, truth = np.random.default_rng(seeds), world.truth
    bounds = [INTERVALS[interval](world.differences(seeds, examples, random), random) for _ in range(studies)]
    return fmean(low <= truth <= high for low, high in bounds), 100 * fmean(high - low for low, high in bounds)


def churn_coverage(seeds: int, studies: int, spread: float) -> tuple[float, float]:
    """Of the jackknife interval of a difference in churn between retrainings: coverage and mean width (points).

    A method draws with noise 1.2 on each network and example, the baseline with 1; both with this spread over seeds.
    For these examples two networks of one method differ with probability 2 p (1 - p) on an example.
    """
    random, found = np.random.default_rng(seeds), []
    for _ in range(studies):
        height = 1.5 + 2.0 * random.standard_normal(EXAMPLES)
        pairs, truths = [], []
        for noise in (1.2, 1.0):
            draws = spread * random.standard_normal((seeds, 1)) + noise * random.standard_normal((seeds, EXAMPLES))
            right = height + draws > 0
            pairs.append((right[:, None] != right[None]).mean(-1))
            p = stats.norm.cdf(height / np.hypot(spread, noise))
            truths.append((2 * p * (1 - p)).mean())
        _, low, high = pairs_interval(pairs[0] - pairs[1])
        found.append((low <= truths[0] - truths[1] <= high, high - low))
    return fmean(holds for holds, _ in found), 100 * fmean(width for _, width in found)


def seen(seeds: int, studies: int) -> float:
    """In how many studies a gain of the size that a study is said to see is seen."""
    random = np.random.default_rng(seeds)
    d = random.normal(detectable_gain(1.0, seeds), 1.0, (studies, seeds))
    return fmean(bool(p <= 0.05) for p in stats.ttest_1samp(d, 0.0, axis=1).pvalue)


def false_tables(rows: int, studies: int, adjusted: bool, seeds: int = 10) -> float:
    """In how many tables of methods without any gain, with one baseline, at least one seems to have one."""
    random, wrong = np.random.default_rng(rows), 0
    for _ in range(studies):
        d = random.standard_normal((rows, seeds)) - random.standard_normal(seeds)
        p = stats.ttest_1samp(d, 0.0, axis=1).pvalue.tolist()
        wrong += min(holm(p) if adjusted else p) <= 0.05
    return wrong / studies


def false_pairs(differing: float, studies: int) -> float:
    """How many of the pairs of equally good networks, that differ on this share of the examples, seem not to be so."""
    random = np.random.default_rng(int(1000 * differing))
    counts = random.multinomial(EXAMPLES, (differing / 2, differing / 2, 1 - differing), studies).tolist()
    return fmean(mcnemar(lost, gained) <= 0.05 for lost, gained, _ in counts)


def measure(studies: int) -> dict[str, object]:
    """All figures."""
    return {
        "studies": studies,
        "coverage": {
            name: {s: {i: coverage(world, s, studies, i) for i in INTERVALS} for s in SEEDS}
            for name, world in WORLDS.items()
        },
        "churn": {s: [churn_coverage(s, studies, spread) for spread in SPREADS] for s in SEEDS},
        "seen": {s: seen(s, 10 * studies) for s in SEEDS},
        "tables": {m: [false_tables(m, 10 * studies, adjusted) for adjusted in (False, True)] for m in (1, 5, 10, 33)},
        "pairs": {share: false_pairs(share, 10 * studies) for share in (0.02, 0.05, 0.2)},
    }


PAGE = """# What the statistics promise, and what they keep

{studies:,} simulated studies for each interval, and ten times as many for what follows them; the truth is known. Made
by `python benchmarks/coverage.py`. An interval that keeps 95 % exactly shows {low:.1f} to {high:.1f} % in most cells.

## Intervals of a gain

Percent of the studies whose 95 % interval holds the true gain over all seeds **and** examples, and the interval's mean
width in points. {examples} test examples; the difference on an example is 1 where only the method is right and -1
where only the baseline is.

| what differs | seeds | Student over seeds | crossed, seeds and examples | bootstrap of seeds and examples |
| --- | ---: | ---: | ---: | ---: |
{coverage}

Student's interval is right for what it says: other seeds, *these* test examples. Where methods are good at other
examples it misses the gain on other test examples as often as the table shows. The crossed interval keeps its promise
in every row; where examples outweigh seeds it keeps more than it promises. The bootstrap of both is too wide where
neither outweighs the other, and too narrow with few seeds.

## Churn between trainings on the same labels

Percent of the studies whose 95 % jackknife interval over all pairs of trainings holds the true difference in churn from
the baseline, and the interval's mean width in points.

| seeds | spread over seeds 0 | 0.1 | 0.3 |
| ---: | ---: | ---: | ---: |
{churn}

## Power

Percent of the studies that see a true gain of the size that `detectable_gain` states (80 promised).

| seeds | seen |
| ---: | ---: |
{seen}

## Holm

Percent of the tables of methods **without** any gain in which at least one row seems to have one (5 promised at most);
all rows have the baseline in common, 10 seeds.

| rows | unadjusted | Holm |
| ---: | ---: | ---: |
{tables}

## McNemar

Percent of the pairs of equally good networks whose exact p is 5 % or less (5 promised at most); {examples} examples.

| examples that only one has right | p <= 5 % |
| ---: | ---: |
{pairs}
"""


def page(found: dict[str, Any]) -> str:
    """`benchmarks/results/coverage.md`."""
    studies = found["studies"]
    reach = 196 * (0.95 * 0.05 / studies) ** 0.5

    def lines(rows: list[list[str]]) -> str:
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    return PAGE.format(
        studies=studies,
        examples=EXAMPLES,
        low=95 - reach,
        high=95 + reach,
        coverage=lines([
            [name, str(s), *(f"{100 * c:.1f} ({width:.2f})" for c, width in each.values())]
            for name, by_seeds in found["coverage"].items()
            for s, each in by_seeds.items()
        ]),
        churn=lines([[str(s), *(f"{100 * c:.1f} ({w:.2f})" for c, w in each)] for s, each in found["churn"].items()]),
        seen=lines([[str(s), f"{100 * share:.1f}"] for s, share in found["seen"].items()]),
        tables=lines([[str(m), *(f"{100 * share:.1f}" for share in both)] for m, both in found["tables"].items()]),
        pairs=lines([[f"{float(d):.0%}", f"{100 * share:.1f}"] for d, share in found["pairs"].items()]),
    )  # fmt: skip


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=STUDIES)
    OUT.write_text(json.dumps(measure(parser.parse_args().studies), indent=1) + "\n", encoding="utf-8")
    text = page(json.loads(OUT.read_text(encoding="utf-8")))
    OUT.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
