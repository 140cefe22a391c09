"""What an analysis measures: how each quantity is headed, explained and read."""

from dataclasses import dataclass

from codistill.analysis.measures import AT
from codistill.analysis.noise import ABSOLUTE, RELATIVE


@dataclass(frozen=True)
class Quantity:
    """A measure of an analysis: its title, what it is in a line, and how its sentence begins."""

    name: str
    title: str
    about: str
    words: str = ""
    percent: bool = False


FIT = (
    Quantity(
        "train_loss",
        "Train loss",
        "cross-entropy on training examples, eval mode, no augmentation; nats",
        "Training loss",
    ),
    Quantity("test_loss", "Test loss", "the same on the test part", "Test loss"),
    Quantity("train_accuracy", "Train %", "accuracy on the training part", percent=True),
    Quantity("test_accuracy", "Test %", "accuracy on the test part; differences in points", "Test accuracy", True),
)
NOISE = (
    Quantity(
        "noise",
        f"σ = {ABSOLUTE[AT['noise']]:.2g}",
        "rise of the training loss when noise σ ε is added to every weight; nats",
        "Rise under absolute noise",
    ),
    Quantity(
        "noise_relative",
        f"σ = {RELATIVE[AT['noise_relative']]:.2g} ‖w‖",
        "the same with noise σ times as long as each filter; it does not change with the filters' scale",
        "Rise under relative noise",
    ),
    Quantity(
        "weight_norm", "Weight norm", "length of all weights; absolute noise moves longer weights less", "Weight norm"
    ),
)
SHARP = (
    Quantity(
        "sharpness", "SAM", "rise of the training loss after one step of length ρ uphill; nats", "SAM's sharpness"
    ),
    Quantity("sharpness_relative", "SAM, relative", "the same in units of the filters' norms", "Relative sharpness"),
    Quantity("hessian", "Hessian trace", "sum of the loss's curvatures, by Hutchinson's estimator", "Hessian trace"),
    Quantity("weight_norm", "Weight norm", "length of all weights; where it differs, compare the relative forms"),
)
SURE = (
    Quantity(
        "train_entropy",
        "Entropy, train",
        "mean of -Σ p log p; nats, higher is less certain",
        "Entropy on training examples",
    ),
    Quantity("test_entropy", "Entropy, test", "the same on the test part", "Entropy on test examples"),
)
RANKED = (
    "Sorted posterior: mean probability of the most probable class, of the second, ...; on training examples, below "
    "them on test examples."
)
