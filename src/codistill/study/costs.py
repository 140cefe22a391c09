"""The cost of each row of a study, measured by itself."""

import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from codistill.randomness import seeded
from codistill.study.entries import Entry, Study
from codistill.training.build import build_fleet
from codistill.training.fleet import Fleet
from codistill.training.given import Given
from codistill.training.step import take

TIMED_NETWORKS = 20
TIMED_ROUNDS = 15
WARM_UP = 2  # rounds before, whose seconds do not count


def measure_costs(
    study: Study, teachers: Mapping[tuple[int, int], Mapping[str, Path]], given: Given
) -> dict[str, dict[str, float]]:
    """Passes and seconds of each entry by itself, per network and step: ``{entry: {...}}``.

    Every entry steps a fleet of about the same number of networks, in turns with the others. Passes are counted;
    seconds are the ratio to the baseline's, the median over the rounds. A quick look has no seconds.
    """
    fleets = {entry.name: _timed_fleet(study, entry, teachers, given) for entry in study.entries}
    base, steps = study.entries[0].name, 1 if study.quick else WARM_UP + TIMED_ROUNDS
    seconds: dict[str, list[float]] = {name: [] for name in fleets}
    for turn in range(steps):
        for name, fleet in fleets.items():
            started = time.perf_counter()
            with seeded(fleet.device, fleet.run.seed, "timing", turn):
                # spread over training: methods may begin late, or end early
                take(fleet, turn * fleet.epochs // steps, turn % fleet.steps)
            if fleet.device.type == "cuda":
                torch.cuda.synchronize(fleet.device)
            if turn >= WARM_UP:
                seconds[name].append((time.perf_counter() - started) / len(fleet.cohort))
    costs = {}
    for name, fleet in fleets.items():
        passes = [cohort.passes for cohort in (fleet.cohort, *fleet.method_cohorts())]
        made = {way: sum(getattr(each, way) for each in passes) for way in ("forward", "backward")}
        costs[name] = {way: number / steps / len(fleet.cohort) for way, number in made.items()}
        if not study.quick:
            ratios = [a / b for a, b in zip(seconds[name], seconds[base], strict=True)]
            costs[name]["seconds"] = statistics.median(ratios)
    return costs


def _timed_fleet(
    study: Study, entry: Entry, teachers: Mapping[tuple[int, int], Mapping[str, Path]], given: Given
) -> Fleet:
    many = study.stacked and not study.quick
    seeds = study.seeds[: max(1, TIMED_NETWORKS // entry.run.peers)] if many else study.seeds[:1]
    given = {**given, "teachers": teachers[seeds[0], 0]}
    return build_fleet([entry.run.replace(seed=seed) for seed in seeds], **given)
