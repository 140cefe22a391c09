"""Every measure of one network: certainty, noise, sharpness, curvature and surfaces."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from codistill.analysis import hessian, surface
from codistill.analysis.certainty import certainty
from codistill.analysis.hessian import Trace
from codistill.analysis.interpolation import PATH, path
from codistill.analysis.loss import Batches
from codistill.analysis.noise import ABSOLUTE, RELATIVE, NoiseCurve, noise_curve
from codistill.analysis.runs import TrainedNetwork
from codistill.analysis.sharpness import sharpness
from codistill.analysis.weights import norm, weights
from codistill.checks import number, whole
from codistill.cohort import alike
from codistill.spec import UnknownName

KINDS = ("noise", "sharpness", "hessian", "surface", "path")
WIDER = 4  # measures of a single pass get this many times as many examples
# The indices in the grids of noise that tables show, sizes 0.018 and 0.19: large enough to matter, and not yet so large
# that one draw in many makes the mean. The figures show the curves.
AT = {"noise": 5, "noise_relative": 6}


@dataclass(frozen=True)
class Settings:
    """What is measured, and on how much.

    Attributes:
        examples: of the training part, at most, for what needs many passes; four times as many of the training and of
            the test part for what needs one (posteriors, losses).
        networks: of each run, at most; the first ones, which start as those of the baseline do.
        draws: of weight noise.
        probes: of the Hessian's trace.
        rho: length of the ascent step of the sharpness.
        seed: of noise, probes, directions and of which examples.
        skip: kinds to leave out, of `KINDS`.

    Raises:
        ValueError: a number that is too small, an unknown kind.
    """

    examples: int = 512
    networks: int = 2
    draws: int = 5
    probes: int = 10
    rho: float = 0.05
    seed: int = 0
    skip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field, least in (("examples", 1), ("networks", 1), ("draws", 2), ("probes", 2)):
            whole(field, getattr(self, field), least)
        number("rho", self.rho, above=True)
        for kind in self.skip:
            if kind not in KINDS:
                raise UnknownName("measure to skip", kind, KINDS)


@dataclass(frozen=True)
class NetworkMeasures:
    """The numbers of one network; None where a kind was skipped.

    Attributes:
        method: the row's name.
        seed: of the run.
        peer: the network's number in its run.
        model: its kind.
        weight_norm: Euclidean norm of all weights.
        train_n: with the four below, see `Certainty`, on training examples.
        test_n: with the four below, the same on test examples.
        noise: rise of the training loss under absolute noise of the size `AT`; the curve is in ``noise_detail``.
        noise_relative: the same under noise relative to each filter's norm.
        sharpness: see `analysis.sharpness`; ``sharpness_relative`` in units of the filters' norms.
        hessian: trace; the estimate is in ``hessian_detail``.
        line: loss along a random direction, at `surface.LINE`.
    """

    method: str
    seed: int
    peer: int
    model: str
    weight_norm: float
    train_n: int
    train_loss: float
    train_accuracy: float
    train_entropy: float
    train_top: tuple[float, ...]
    test_n: int
    test_loss: float
    test_accuracy: float
    test_entropy: float
    test_top: tuple[float, ...]
    noise: float | None = None
    noise_detail: NoiseCurve | None = None
    noise_relative: float | None = None
    noise_relative_detail: NoiseCurve | None = None
    sharpness: float | None = None
    sharpness_relative: float | None = None
    hessian: float | None = None
    hessian_detail: Trace | None = None
    line: list[float] | None = None


@dataclass(frozen=True)
class Plane:
    """The loss on a plane through one network: a row for each step along the second direction."""

    method: str
    seed: int
    peer: int
    at: tuple[float, ...]
    loss: list[list[float]]


@dataclass(frozen=True)
class Path:
    """The loss on the straight line between two networks of a run."""

    method: str
    seed: int
    peers: tuple[int, int]
    at: tuple[float, ...]
    loss: list[float]


def measure_network(network: TrainedNetwork, settings: Settings) -> NetworkMeasures:
    """Every number of one network that is not skipped."""
    net, few, task = network.net, head(network.train, settings.examples), network.task
    values: dict[str, Any] = {}
    for part, batches in (("train", network.train), ("test", network.test)):
        values |= {f"{part}_{name}": value for name, value in vars(certainty(net, batches, task)).items()}
    for name, relative in (("noise", False), ("noise_relative", True)) if "noise" not in settings.skip else ():
        sizes = RELATIVE if relative else ABSOLUTE
        curve = noise_curve(net, few, sizes, relative=relative, draws=settings.draws, seed=settings.seed, task=task)
        values |= {name: curve.loss[AT[name]] - curve.still, f"{name}_detail": curve}
    if "sharpness" not in settings.skip:
        for name, relative in (("sharpness", False), ("sharpness_relative", True)):
            values[name] = sharpness(net, few, rho=settings.rho, relative=relative, task=task)
    if "hessian" not in settings.skip:
        trace = hessian.trace(net, few, probes=settings.probes, seed=settings.seed, task=task)
        values |= {"hessian": trace.mean, "hessian_detail": trace}
    if "surface" not in settings.skip:
        values["line"] = surface.line(net, few, seed=settings.seed, task=task)
    about = network.method, network.seed, network.peer, network.model
    return NetworkMeasures(*about, norm(weights(net)), **values)


def planes(network: TrainedNetwork, settings: Settings) -> list[Plane]:
    """The loss on a plane through one network; none where surfaces are skipped."""
    if "surface" in settings.skip:
        return []
    few = head(network.train, settings.examples)
    loss = surface.plane(network.net, few, seed=settings.seed, task=network.task)
    return [Plane(network.method, network.seed, network.peer, surface.PLANE, loss)]


def paths(run: Sequence[TrainedNetwork], settings: Settings) -> list[Path]:
    """The loss on the line between every two of a run's networks of the same architecture; none where it is skipped."""
    few = head(run[0].train, settings.examples)
    return [
        Path(a.method, a.seed, (a.peer, b.peer), PATH, path(a.net, b.net, few, task=a.task))
        for a, b in itertools.combinations(run, 2)
        if "path" not in settings.skip and alike(a.net, b.net)
    ]


def head(batches: Batches, most: int) -> Batches:
    """The first examples of the batches, at most so many."""
    before = itertools.accumulate((len(y) for _, y in batches), initial=0)
    return [(x[: most - n], y[: most - n]) for (x, y), n in zip(batches, before, strict=False) if n < most]
