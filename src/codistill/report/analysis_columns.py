"""What an analysis measures: how each column is headed, explained and read."""

from dataclasses import dataclass

from codistill.analysis.measures import AT
from codistill.analysis.noise import ABSOLUTE, RELATIVE


@dataclass(frozen=True)
class Column:
    """A measure: its title, what it is in a line, and how its sentence begins."""

    name: str
    title: str
    about: str
    words: str = ""
    percent: bool = False


FIT = (
    Column(
        "train_loss",
        "Train loss",
        "plain cross-entropy on examples it was trained on, eval mode, no augmentation; nats",
        "Training loss",
    ),
    Column("test_loss", "Test loss", "the same on the test part", "Test loss"),
    Column("train_accuracy", "Train %", "accuracy on the training part", percent=True),
    Column("test_accuracy", "Test %", "accuracy on the test part; differences in points", "Test accuracy", True),
)
NOISE = (
    Column(
        "noise",
        f"σ = {ABSOLUTE[AT['noise']]:.2g}",
        "rise of the training loss when noise σ ε is added to every weight; nats",
        "Rise under absolute noise",
    ),
    Column(
        "noise_relative",
        f"σ = {RELATIVE[AT['noise_relative']]:.2g} ‖w‖",
        "the same with noise σ times as long as each filter; it does not change with the filters' scale",
        "Rise under relative noise",
    ),
    Column(
        "weight_norm",
        "Weight norm",
        "length of all weights together; absolute noise is felt less by longer weights",
        "Weight norm",
    ),
)
SHARP = (
    Column(
        "sharpness",
        "SAM",
        "rise of the training loss after one step of length ρ along the gradient; nats",
        "SAM's sharpness",
    ),
    Column(
        "sharpness_relative",
        "SAM, relative",
        "the same with steps in units of the filters' norms",
        "Relative sharpness",
    ),
    Column(
        "hessian",
        "Hessian trace",
        "sum of the curvatures of the training loss, by Hutchinson's estimator",
        "Hessian trace",
    ),
    Column("weight_norm", "Weight norm", "length of all weights; where it differs, compare the relative forms"),
)
SURE = (
    Column(
        "train_entropy",
        "Entropy, train",
        "mean of -Σ p log p of the posteriors; nats, higher is less certain",
        "Entropy on training examples",
    ),
    Column("test_entropy", "Entropy, test", "the same on the test part", "Entropy on test examples"),
)
RANKED = (
    "Sorted posterior: mean probability of the most probable class, of the second, ...; on training examples, below "
    "them on test examples."
)

__all__ = ["FIT", "NOISE", "RANKED", "SHARP", "SURE", "Column"]
