"""Everything that is measured of one network, as plain numbers for JSON."""

import itertools
from dataclasses import asdict, dataclass
from typing import Any

from codistill.analysis import between, hessian, noise, surface
from codistill.analysis.certainty import certainty
from codistill.analysis.outputs import Batches, measured
from codistill.analysis.sharpness import sharpness
from codistill.analysis.subjects import Subject
from codistill.analysis.weights import norm, weights
from codistill.cohort import alike
from codistill.spec import UnknownName

KINDS = ("noise", "sharpness", "hessian", "surface", "path")
WIDER = 4  # what needs one pass only sees so many times as many examples
# The places in the grids of noise whose rise stands in tables, 0.018 and 0.19: large enough to be felt, and not yet so
# large that one draw in many makes the mean. The whole curves are in the figures.
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
            if getattr(self, field) < least:
                raise ValueError(f"{field}={getattr(self, field)}: give at least {least}")
        if not self.rho > 0:
            raise ValueError(f"rho={self.rho:g}: give a length above 0, such as 0.05")
        for kind in self.skip:
            if kind not in KINDS:
                raise UnknownName("measure to skip", kind, KINDS)


def measure(subject: Subject, settings: Settings) -> dict[str, Any]:
    """The numbers of one network; a plane of its surroundings only for the first network of a run."""
    net, task = subject.net, subject.task
    few = head(subject.train, settings.examples)
    found: dict[str, Any] = {
        "method": subject.method,
        "seed": subject.seed,
        "peer": subject.peer,
        "model": subject.model,
        "weight_norm": norm(dict(weights(net))),
    }
    for part, batches in (("train", subject.train), ("test", subject.test)):
        found |= {f"{part}_{name}": value for name, value in asdict(certainty(net, batches, task)).items()}
    if "noise" not in settings.skip:
        found |= _noise(subject, few, settings)
    if "sharpness" not in settings.skip:
        for name, relative in (("sharpness", False), ("sharpness_relative", True)):
            found[name] = sharpness(net, few, rho=settings.rho, relative=relative, task=task)
    if "hessian" not in settings.skip:
        trace = hessian.trace(net, few, probes=settings.probes, seed=settings.seed, task=task)
        found |= {"hessian": trace.mean, "hessian_detail": asdict(trace)}
    if "surface" not in settings.skip:
        found["line"] = surface.line(net, few, seed=settings.seed, task=task)
    return found


def _noise(subject: Subject, batches: Batches, settings: Settings) -> dict[str, Any]:
    found: dict[str, Any] = {}
    still = measured(subject.net, batches, subject.task)[0]
    for name, sizes, relative in (("noise", noise.ABSOLUTE, False), ("noise_relative", noise.RELATIVE, True)):
        shaken = noise.shake(
            subject.net, batches, sizes, relative=relative, draws=settings.draws, seed=settings.seed, task=subject.task
        )
        found |= {name: shaken.loss[AT[name]] - still, f"{name}_detail": {**asdict(shaken), "still": still}}
    return found


def plane(subject: Subject, settings: Settings) -> dict[str, Any]:
    """The loss on a plane through one network."""
    few = head(subject.train, settings.examples)
    loss = surface.plane(subject.net, few, seed=settings.seed, task=subject.task)
    return {"method": subject.method, "seed": subject.seed, "peer": subject.peer, "at": surface.PLANE, "loss": loss}


def paths(run: list[Subject], settings: Settings) -> list[dict[str, Any]]:
    """The loss on the way between every two of a run's networks that are alike."""
    return [
        {
            "method": a.method,
            "seed": a.seed,
            "peers": [a.peer, b.peer],
            "at": between.PATH,
            "loss": between.path(a.net, b.net, head(a.train, settings.examples), task=a.task),
        }
        for a, b in itertools.combinations(run, 2)
        if alike(a.net, b.net)
    ]


def head(batches: Batches, most: int) -> Batches:
    """The first examples of the batches."""
    kept, left = [], most
    for x, y in batches:
        if left > 0:
            kept.append((x[:left], y[:left]))
            left -= len(y)
    return kept


__all__ = ["AT", "KINDS", "WIDER", "Settings", "head", "measure", "paths", "plane"]
