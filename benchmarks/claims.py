"""Write `docs/claims.md`: each claim of the paper, and some of others, and what we measured of it.

    python benchmarks/claims.py

Every figure and every verdict is computed from the files in benchmarks/results; a test holds the page to them.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codistill.statistics.interval import paired_interval

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "claims.md"
RESULTS = ROOT / "benchmarks" / "results"
CONFIRMED, NOT, MIXED, UNTESTED = "confirmed", "not confirmed", "confirmed in part", "untested by us"

HEAD = """# Claims, and what we measured

Zhang et al., Deep Mutual Learning, CVPR 2018. Each claim is marked *confirmed*, *confirmed in part*, *not
confirmed* or *untested by us*, at the sizes that two CPU cores can train: 300 labelled 8 x 8 digits, MNIST, CIFAR-100,
Omniglot at 20 x 20 pixels (for retrieval), film reviews. "Not confirmed" means that our measurements do not
show it there; it is no proof of the opposite elsewhere. A claim is confirmed where each 95 % interval
(Student's t over seeds) lies on its side of zero (where there are no intervals: where every step goes that
way), confirmed in part where some do and none lies on the other side. Intervals are each for itself: of many,
some leave out zero by chance. Omniglot was run for 8 epochs first, which the recipe has, and then for 16, to see
whether networks that are trained further differ in this.

This page is made by `python benchmarks/claims.py` from the files in `benchmarks/results`; each names the command that
made it. Points are percentage points.

| claim | verdict | what we measured |
| --- | --- | --- |
"""


@dataclass(frozen=True)
class Claim:
    """What the paper says, our verdict, and the evidence."""

    words: str
    verdict: str
    evidence: str


def kept(name: str) -> dict[str, Any]:
    """A file of results."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def row(study: dict[str, Any], method: str) -> dict[str, Any]:
    """A row of a comparison."""
    return next(r for r in study["rows"] if r["method"] == method)


def judge(intervals: Sequence[tuple[float, float]]) -> str:
    """The verdict on a claim that every interval lies above zero."""
    above, below = sum(low > 0 for low, _ in intervals), sum(high < 0 for _, high in intervals)
    if above == len(intervals):
        return CONFIRMED
    return MIXED if above and not below else NOT


def said(low: float, mean: float, high: float) -> str:
    """A difference with its interval, in points."""
    return f"{100 * mean:+.2f} points [{100 * low:+.2f}, {100 * high:+.2f}]"


def gain(found: dict[str, Any]) -> tuple[str, tuple[float, float]]:
    """A row's gain over its networks trained alone."""
    low, high = found["gain_ci95"]
    return said(low, found["gain_mean"], high), (low, high)


def against(one: dict[str, Any], other: dict[str, Any]) -> tuple[str, tuple[float, float]]:
    """By how much one row gains more than another, seed by seed."""
    pairs = zip(one["gain_per_seed"], other["gain_per_seed"], strict=True)
    mean, low, high = paired_interval([a - b for a, b in pairs])
    return said(low, mean, high), (low, high)


def source(name: str) -> str:
    """A link to a file of results."""
    return f"[{name}](../benchmarks/results/{name}.md)"


def better_than_alone() -> Claim:
    """Section 1, tables 2 and 3."""
    parts, intervals = [], []
    for name, title in (
        ("digits_cohorts", "digits"),
        ("mnist", "MNIST"),
        ("cifar100_small", "CIFAR-100, ResNet-8 at half resolution, 5 epochs"),
        ("omniglot_cohorts", "Omniglot, 8 epochs, mAP"),
        ("omniglot_longer", "Omniglot, 16 epochs, mAP"),
        ("text_nsmc", "Naver reviews"),
        ("text_imdb", "IMDB"),
    ):
        study = kept(name)
        mutual = [r for r in study["rows"] if r["method"].startswith("dml:")]
        each = [gain(r) for r in mutual]
        intervals += [bounds for _, bounds in each]
        listed = "; ".join(f"{r['peers']} networks {text}" for r, (text, _) in zip(mutual, each, strict=True))
        parts.append(f"{title} ({source(name)}, {len(study['seeds'])} seeds): {listed}")
    return Claim("Each network of a cohort is better than the same network alone", judge(intervals), ". ".join(parts))


def cohort_size() -> list[Claim]:
    """Figure 2."""
    size, spread, together = [], [], []
    sizes, spreads, ensembles = [], [], []
    sets = (
        ("digits_cohorts", "digits", "accuracy"),
        ("omniglot_cohorts", "Omniglot, 8 epochs, mAP", "map"),
        ("omniglot_longer", "Omniglot, 16 epochs, mAP", "map"),
    )
    for name, title, measure in sets:
        study = kept(name)
        rows = [r for r in study["rows"] if r["method"].startswith("dml:")]
        text, bounds = against(rows[-1], rows[0])
        sizes.append(bounds)
        size.append(f"{title}: 5 networks against 2: {text}")
        deviations = [study["rows"][0][f"{measure}_sd"], *(r[f"{measure}_sd"] for r in rows)]
        spreads.append(all(more > less for more, less in itertools.pairwise(deviations)))
        spread.append(f"{title}: sd over networks, 1 to 5: {', '.join(f'{100 * d:.2f}' for d in deviations)}")
        differences = [r["ensemble_mean"] - r["ensemble_alone_mean"] for r in rows]
        ensembles += [d > 0 for d in differences]
        together.append(f"{title}, 2 to 5 networks: {', '.join(f'{100 * d:+.2f}' for d in differences)} points")
    return [
        Claim("The more networks, the better each of them (figure 2a)", judge(sizes), ". ".join(size)),
        Claim(
            "The more networks, the smaller the spread of single networks (figure 2a)",
            _all(spreads),
            ". ".join(spread) + " (no intervals)",
        ),
        Claim(
            "An ensemble of networks trained together beats one of networks trained alone (figure 2b; features "
            "concatenated in retrieval)",
            _all(ensembles),
            ". ".join(together) + " (no intervals)",
        ),
    ]


def _all(true: Sequence[bool]) -> str:
    return CONFIRMED if all(true) else MIXED if any(true) else NOT


def unlike() -> list[Claim]:
    """Tables 2 and 4."""
    study = kept("digits_pairs")
    large, small = "cnn:width=16", "cnn"
    pair = f"dml:peers=2,models={large}+{small}"
    texts = {net: gain(row(study, f"{pair} [{net}]")) for net in (large, small)}
    taught = next(r for r in study["rows"] if r["method"].startswith("kd:"))
    more, bounds = against(row(study, f"{pair} [{small}]"), taught)
    return [
        Claim(
            "In a pair of a large and a small network both gain (table 2)",
            judge([b for _, b in texts.values()]),
            f"Digits ({source('digits_pairs')}): the large one {texts[large][0]}, the small one {texts[small][0]}",
        ),
        Claim(
            "Learning with a large network is better than being taught by it, frozen (table 4)",
            judge([bounds]),
            f"Digits: the small network in the pair against KD from the large one: {more}; KD itself "
            f"{gain(taught)[0]} over alone",
        ),
    ]


def entropy() -> list[Claim]:
    """Section 3.6 and the variant DML_e."""
    study = kept("digits_entropy")
    dml, ensemble, alone = row(study, "dml:peers=4"), row(study, "dml_ensemble:peers=4"), study["rows"][0]
    less, bounds = against(dml, ensemble)
    plain = [r for r in study["rows"] if "confidence_penalty" in r["method"]]
    each = [against(dml, r) for r in plain]
    names = [r["label"].removeprefix("Alone, ") for r in plain]
    return [
        Claim(
            "DML is better than DML_e, one averaged teacher",
            NOT if bounds[0] <= 0 else MIXED,
            f"The two have the same gradient (docs/numerics.md), so only rounding can part them; measured: {less}. "
            "Nor is the averaged teacher more certain, by concavity: entropy of the networks "
            f"{dml['entropy_mean']:.3f} with DML, {ensemble['entropy_mean']:.3f} with DML_e, "
            f"{alone['entropy_mean']:.3f} alone, nats",
        ),
        Claim(
            "DML is better than a plain penalty on confident posteriors (section 3.6)",
            judge([b for _, b in each]),
            f"Digits ({source('digits_entropy')}), DML-4 against "
            + "; ".join(f"{name}: {text}" for name, (text, _) in zip(names, each, strict=True)),
        ),
    ]


def why() -> list[Claim]:
    """Section 3.6, from `codistill analyze`."""
    found = kept("digits_analysis")
    dml = next(r for r in found["rows"] if r["method"] == "dml:peers=4")["measures"]
    alone = next(r for r in found["rows"] if r["baseline"])["measures"]

    def lower(name: str) -> tuple[str, tuple[float, float]]:
        low, high = dml[name]["ci95"]
        difference = f"{dml[name]['difference']:+.4f} [{low:+.4f}, {high:+.4f}]"
        return f"{dml[name]['mean']:.4f} against {alone[name]['mean']:.4f}: {difference}", (-high, -low)

    noise, relative, train, test = (lower(n) for n in ("noise", "noise_relative", "train_loss", "test_loss"))
    certain = [(-b[1], -b[0]) for _, b in (lower("train_entropy"), lower("test_entropy"))]
    where = source("digits_analysis")
    return [
        Claim(
            "DML does not find a lower training loss, but a lower test loss (section 3.6)",
            CONFIRMED if train[1][0] <= 0 < test[1][0] else MIXED if test[1][0] > 0 else NOT,
            f"Digits, DML-4 ({where}): training loss {train[0]}; test loss {test[0]}",
        ),
        Claim(
            "Its minimum is wider: noise on the weights raises the training loss less (section 3.6)",
            judge([noise[1], relative[1]]),
            f"Digits, DML-4: rise under absolute noise {noise[0]}; under noise relative to each filter {relative[0]}",
        ),
        Claim(
            "Its posteriors are less certain (section 3.6)",
            judge(certain),
            f"Digits, DML-4, entropy in nats: training data {lower('train_entropy')[0]}; test data "
            f"{lower('test_entropy')[0]}",
        ),
    ]


def untested() -> list[Claim]:
    """What needs a GPU or data that are not at hand."""
    command = "`codistill compare --recipe {}`"
    return [
        Claim(
            "The gains of table 2 on CIFAR-10 and CIFAR-100, at the paper's size",
            UNTESTED,
            f"needs a GPU: {command.format('paper_pairs')}; a small network in 5 epochs is in the first row",
        ),
        Claim(
            "Table 4 on CIFAR-100: DML against distillation",
            UNTESTED,
            f"needs a GPU: {command.format('paper_distillation')}",
        ),
        Claim(
            "Tables 3 and 4 and figure 2 on Market-1501",
            UNTESTED,
            f"needs a GPU and the data: {command.format('paper_market')}, {command.format('paper_cohorts')}",
        ),
        Claim("Gains on ImageNet", UNTESTED, "needs many GPU days; `--data imagenet` reads it"),
    ]


SILOS = {
    "silos_skewed": "digits, 5 of 10 classes each",
    "silos": "digits",
    "mnist_silos": "MNIST, 5 of 10 classes each",
    "nsmc_silos": "Naver reviews",
    "cifar20_silos": "CIFAR-100, 10 of 20 coarse classes each, 400 steps",
}
FEW = {"few_labels": "digits, 50 labels", "mnist_few_labels": "MNIST, 100 labels"}
NOISE = {
    "wrong_labels": "digits, 40 % symmetric",
    "wrong_labels_mnist_symmetric_20": "MNIST, 20 % symmetric",
    "wrong_labels_mnist_symmetric_50": "MNIST, 50 % symmetric",
    "wrong_labels_mnist_pair_45": "MNIST, 45 % pairs",
}
MORE_SEEDS = {"wrong_labels_mnist_symmetric_20": ("wrong_labels_mnist_symmetric_20_seeds20",)}
FEW_PERCENT = 0.05  # what we take "a few percent" for


def gains_of(study: dict[str, Any], method: str) -> dict[str, Any]:
    """A row's gain per seed; the mean over its kinds of networks, where there are several."""
    each = [r["gain_per_seed"] for r in study["rows"] if r["method"].partition(" [")[0] == method]
    return {"gain_per_seed": [sum(gains) / len(gains) for gains in zip(*each, strict=True)]}


def method_of(study: dict[str, Any], start: str) -> str:
    """The first row whose method begins so, without its kind of network."""
    return str(next(r["method"].partition(" [")[0] for r in study["rows"] if r["method"].startswith(start)))


def of_all(each: Iterable[dict[str, list[float]]]) -> dict[str, list[float]]:
    """The gains of several comparisons, whose seeds differ, as those of one."""
    return {"gain_per_seed": [gain for gains in each for gain in gains["gain_per_seed"]]}


def listed(names: dict[str, str], one: str, other: str | None = None, above: float = 0.0) -> tuple[str, str]:
    """The verdict that a row gains more than another (None: than networks trained alone), and every difference.

    Args:
        names: of the files of results, with what their data are called.
        one: how the row's method begins; other likewise.
        above: what a difference must be above.
    """
    parts, intervals = [], []
    for name, title in names.items():
        studies = [kept(each) for each in (name, *MORE_SEEDS.get(name, ()))]
        pairs = of_all(gains_of(study, method_of(study, one)) for study in studies)
        zero = {"gain_per_seed": [0.0] * len(pairs["gain_per_seed"])}
        others = of_all(gains_of(study, method_of(study, other)) for study in studies) if other else zero
        text, (low, high) = against(pairs, others)
        intervals.append((low - above, high - above))
        sources = " and ".join(map(source, (name, *MORE_SEEDS.get(name, ()))))
        parts.append(f"{title} ({sources}, {sum(len(study['seeds']) for study in studies)} seeds): {text}")
    return judge(intervals), ". ".join(parts)


def beyond() -> list[Claim]:
    """What is claimed of peers that know different things, by others than the paper."""
    claims = (
        (
            "With private labels, each party is better with the others' predictions on common samples than alone "
            "(FedMD: about +20 %)",
            (SILOS, "dml:peers=4"),
        ),
        ("... and better than with its own pseudo labels on these samples", (SILOS, "dml:peers=4", "pseudo")),
        (
            "... and a few percent below what all labels pooled would give (FedMD); here: less than 5 points below",
            (SILOS, "dml:peers=4", "alone:shards=none", -FEW_PERCENT),
        ),
        (
            "With the same few labels for all and unlabelled samples, peers (soft targets) are better than one "
            "network's own pseudo labels",
            (FEW, "dml:peers=4", "pseudo"),
        ),
        (
            "Against wrong labels, small losses chosen by a peer are better than those chosen by oneself (co-teaching)",
            (NOISE, "coteaching", "selfselect"),
        ),
    )
    return [Claim(words, *listed(*asked)) for words, asked in claims]


CLAIMS: tuple[Callable[[], Claim | list[Claim]], ...] = (
    better_than_alone,
    cohort_size,
    unlike,
    entropy,
    why,
    untested,
    beyond,
)


def page() -> str:
    """The whole page."""
    found = [made for make in CLAIMS for made in _listed(make())]
    return HEAD + "".join(f"| {c.words} | **{c.verdict}** | {c.evidence}. |\n" for c in found)


def _listed(found: Claim | list[Claim]) -> list[Claim]:
    return found if isinstance(found, list) else [found]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
