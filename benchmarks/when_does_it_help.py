"""Write `docs/when-does-it-help.md`: what peers differ in, against what mutual learning gains.

    python benchmarks/when_does_it_help.py

Every figure is computed from the files in benchmarks/results; a test holds the page to them.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codistill.statistics.interval import paired_interval

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "when-does-it-help.md"
RESULTS = ROOT / "benchmarks" / "results"
SEEDS = {"": "0-9", "_seeds20": "20-29", "_seeds40": "40-49"}
REPEATED = ("silos_skewed", "silos", "few_labels", "same_labels")
SKEWED = ("silos_skewed_networks", "silos_skewed_flat", "silos_skewed_targets")

HEAD = """# When does it help?

A peer is worth much when it knows what the student does not: other labels, another part of the image. Where peers
differ in their initial weights alone, all that one can teach another is its noise. All of this is on 8 x 8 digits,
MNIST, CIFAR-100 and film reviews, with small networks: elsewhere the figures will be others, so run the comparison on
your own data.

*Alone* is one network with its own labels, *own pseudo labels* the same with the unlabelled samples and no peer, both
tuned on validation data of other seeds (`benchmarks/tune_silos.py`; for the last row `benchmarks/tune_digits.py`). DML
has the rate and decay of *alone*, and its weight and ramp were not tuned. *Bound* is a network that has what all peers
have together. Accuracy in percent, gains over *alone* in percentage points with 95 % intervals (Student's t over
seeds).

This page is made by `python benchmarks/when_does_it_help.py` from the files in `benchmarks/results`; each names the
command that made it.

"""
COLUMNS = (
    *("peers differ in", "alone", "own pseudo labels", "DML", "DML, hard labels"),
    *("DML against own pseudo labels (soft; hard)", "bound", "decide"),
)


@dataclass(frozen=True)
class Case:
    """A row of the page: a file of results, and which rows of it are meant.

    Attributes:
        name: of the file.
        words: what peers differ in.
        dml: the row of DML.
        bound: the row of the upper bound, if there is one.
        decide: what a reader should take from it.
    """

    name: str
    words: str
    dml: str
    bound: str | None
    decide: str


CASES = (
    Case(
        "silos_skewed",
        "labels: 4 silos that know 5 of 10 classes each, 40 labels each, common unlabelled samples",
        "dml:peers=4,ramp=0.3",
        "alone:shards=none",
        "Use it, and read first where it fails (the last table).",
    ),
    Case(
        "silos",
        "labels: 4 silos of 20 labels each, common unlabelled samples",
        "dml:peers=4,ramp=0.3",
        "alone:shards=none",
        "Use it: most of what pooling the labels would give.",
    ),
    Case(
        "views",
        "part of the image: left and right half, 50 common labels, the rest unlabelled",
        "dml:peers=2,ramp=0.3",
        "alone:models=mlp",
        "Use it, with hard labels, where each network must work on its own part; one that sees all is better still.",
    ),
    Case(
        "views_quarters",
        "part of the image: four quarters, 100 common labels, the rest unlabelled",
        "dml:peers=4,ramp=0.3",
        "alone:models=mlp",
        "As above; what four quarters know together is far from reached.",
    ),
    Case(
        "few_labels",
        "initial weights; 50 common labels, the rest unlabelled",
        "dml:peers=4,ramp=0.3",
        None,
        "Use pseudo labels of one network: four peers are not clearly better.",
    ),
    Case(
        "same_labels",
        "initial weights; 300 common labels, nothing unlabelled",
        "dml:peers=2",
        None,
        "Expect tenths of a point at most, whose sign is not sure; an ensemble of networks trained alone gains more.",
    ),
)

REAL = (
    Case(
        "mnist_silos",
        "labels: 4 silos that know 5 of 10 classes each, 50 labels each, common unlabelled samples",
        "dml:peers=4,ramp=0.3",
        "alone:shards=none",
        "As on digits: use it.",
    ),
    Case(
        "nsmc_silos",
        "labels: 4 silos of 200 film reviews each, common reviews without labels",
        "dml:peers=4,ramp=0.3",
        "alone:shards=none",
        "A small gain, about a third of what pooling gives: peers that know little have little to tell.",
    ),
    Case(
        "cifar20_silos",
        "labels: 4 silos with unlike networks that know 10 of CIFAR-100's 20 coarse classes each, 1,000 labels each, "
        "common unlabelled images, 400 steps; means over the four networks",
        "dml:peers=4,ramp=0.3",
        "alone:shards=none",
        "Almost nothing in accuracy: after 400 steps these networks know little. Use it for calibration; a longer "
        "training was not tried.",
    ),
    Case(
        "mnist_few_labels",
        "initial weights; 100 common labels, the rest unlabelled",
        "dml:peers=4,ramp=0.3",
        None,
        "As on digits: one network's pseudo labels gain more.",
    ),
    Case(
        "cifar100_small",
        "initial weights; all 50,000 labels of CIFAR-100 in common, ResNet-8 at half resolution, 5 epochs",
        "dml:peers=4",
        None,
        "It loses here: in so short a training, networks that still underfit are held back. Churn falls. The paper "
        "trains for 200 epochs, which needs a GPU.",
    ),
)


def kept(name: str) -> dict[str, Any]:
    """A file of results."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def row(study: dict[str, Any], method: str) -> dict[str, Any]:
    """A row of a comparison; a row with several kinds of networks has more than one, and a mean is taken of them."""
    rows = [r for r in study["rows"] if r["method"].partition(" [")[0] == method]
    gains = [r["gain_per_seed"] for r in rows if r["gain_per_seed"]]
    accuracy = sum(r["accuracy_mean"] for r in rows) / len(rows)
    return {"accuracy": accuracy, "gains": [sum(each) / len(each) for each in zip(*gains, strict=True)]}


def said(differences: Iterable[float]) -> str:
    """The mean of differences with its interval, in points."""
    mean, low, high = paired_interval(differences)
    return f"{100 * mean:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def case(it: Case) -> str:
    """A row of the first table."""
    study = kept(it.name)
    names = dict.fromkeys(r["method"].partition(" [")[0] for r in study["rows"])
    control = [row(study, name)["gains"] for name in names if name.startswith("pseudo")]
    hard = [row(study, name)["gains"] for name in names if name == f"{it.dml},target=hard"]
    dml = [row(study, it.dml)["gains"]]
    against = [[a - b for a, b in zip(mutual, control[0], strict=True)] for mutual in (*dml, *hard) if control]
    bound = f"{100 * row(study, it.bound)['accuracy']:.1f}" if it.bound else "-"
    return line(
        (
            f"{it.words} ([{it.name}](../benchmarks/results/{it.name}.md))",
            f"{100 * row(study, 'alone')['accuracy']:.1f}",
            *("; ".join(map(said, gains[:1])) or "-" for gains in (control, dml, hard)),
            "; ".join(map(said, against)) or "-",
            bound,
            it.decide,
        )
    )


def repeated() -> str:
    """The gains of DML over other seeds, and with another number of threads."""
    text = line(("DML's gain", *(f"seeds {seeds}" for seeds in SEEDS.values()))) + line(["---"] + ["---:"] * len(SEEDS))
    dml = {it.name: it.dml for it in CASES}
    for name in REPEATED:
        gains = (said(row(kept(f"{name}{suffix}"), dml[name])["gains"]) for suffix in SEEDS)
        text += line((f"`{name}`", *gains))
    one, two = (row(kept(name), dml["silos"])["gains"] for name in ("silos", "silos_2threads"))
    return f"{text}\nWith two threads, `silos` and seeds 0-9: {said(two)}{', the same bits' if one == two else ''}.\n"


def options() -> str:
    """Every row of some comparisons of the same recipe."""
    text = line(("comparison", "row", "accuracy", "gain")) + line(("---", "---", "---:", "---:"))
    for name in SKEWED:
        link = f"[{name}](../benchmarks/results/{name}.md)"
        for found in kept(name)["rows"]:
            gains, accuracy = found["gain_per_seed"], f"{100 * found['accuracy_mean']:.1f}"
            text += line((link, f"`{found['method']}`", accuracy, said(gains) if gains else "baseline"))
    return text


FAILS = """
## Where it fails: the same silos, other networks and targets

All of `silos_skewed`, 5 seeds each. In the first comparison the network is the `cnn`, where a row names no other: its
last layer reads the means of 16 channels. In the second it is the same network, batch normalisation and all, but that
the last layer reads every position (`benchmarks/flat_cnn.py`). In the third it is the recipe's `mlp`, with other
targets.
[silos.md](silos.md#when-it-fails) says what to do.

"""


def page() -> str:
    """The page."""
    head = line(COLUMNS) + line(("---", *["---:"] * 6, "---"))
    seeds = "\n## Do the signs hold?\n\nOther seeds draw other labels, other shards and other initial weights.\n\n"
    real = "\n## On MNIST and on film reviews\n\n5 seeds, nothing tuned; the `mlp` on MNIST, a `bigru` on reviews.\n\n"
    real += head + "".join(map(case, REAL))
    return HEAD + head + "".join(map(case, CASES)) + real + seeds + repeated() + FAILS + options()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
