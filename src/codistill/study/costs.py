"""The cost of each row of a study, measured by itself."""

import re
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch

from codistill import methods
from codistill.cohort.timing import computing_with
from codistill.randomness import seeded
from codistill.run import Run
from codistill.spec import Spec
from codistill.study.entries import Entry, Study
from codistill.training.build import build_fleet
from codistill.training.fleet import Fleet
from codistill.training.given import Given
from codistill.training.step import take

TIMED_NETWORKS = 20
TIMED_ROUNDS = 9
Costs = Mapping[str, Mapping[str, float]]
WARM_UP = 2  # rounds before, whose seconds do not count


def measure_costs(
    study: Study, teachers: Mapping[tuple[int, int], Mapping[str, Path]], given: Given
) -> dict[str, dict[str, float]]:
    """What each entry costs by itself, per network, as multiples of the baseline's first network: ``{entry: {...}}``.

    Every entry steps a fleet of about the same number of networks, in turns with the others; where networks trained
    alone are of several kinds, so does each kind by itself, as ``entry [network]``. Passes are counted, each with the
    examples of its step and for all steps of the training, so that unlabelled examples, larger batches and longer
    trainings are in them; seconds are the median ratio over the rounds, for all steps too. A quick look has no seconds.
    """
    fleets = {name: _timed_fleet(study, run, teachers, given) for name, run in _timed_runs(study).items()}
    base, rounds = _unit(study), 1 if study.quick else WARM_UP + TIMED_ROUNDS
    seconds: dict[str, list[float]] = {name: [] for name in fleets}
    for turn in range(rounds):
        for name, fleet in fleets.items():
            spent = _timed_step(fleet, turn, rounds)
            if turn >= WARM_UP:
                seconds[name].append(spent / len(fleet.cohort))
    first, costs = fleets[base], {}
    for name, fleet in fleets.items():
        passes = [cohort.passes for cohort in (fleet.cohort, *fleet.method_cohorts())]
        made = {way: sum(getattr(each, way) for each in passes) for way in ("forward", "backward")}
        longer, larger = fleet.total / first.total, _examples(fleet.run) / _examples(first.run)
        costs[name] = {way: number / rounds / len(fleet.cohort) * longer * larger for way, number in made.items()}
        if not study.quick:
            ratios = [a / b for a, b in zip(seconds[name], seconds[base], strict=True)]
            costs[name]["seconds"] = statistics.median(ratios) * longer
    return costs


def are_whole(costs: Costs, study: Study) -> bool:
    """Whether what was read are the costs of a study: a number for all that `measure_costs` measures."""
    names = _timed_runs(study).keys()
    ways = ("forward", "backward") if study.quick else ("forward", "backward", "seconds")
    each = [costs.get(name) for name in names]
    return all(isinstance(one, dict) and all(isinstance(one.get(way), int | float) for way in ways) for one in each)


def alone_costs(study: Study, costs: Costs, network: Spec, peer: int = 0) -> Mapping[str, float]:
    """Those of a network of this number trained alone; of `ALONE`, the mean of the baseline's networks."""
    entry = study.alone(network, peer)
    return costs.get(_kind(entry, network), costs[entry.name])


def timing_steps(study: Study, runs: Sequence[Run]) -> float:
    """About as many steps of these runs, trained as one, take as long as the rounds of `measure_costs`.

    It is by the passes that methods declare; 0 for a quick look, which is not timed.
    """
    if study.quick:
        return 0.0
    rounds = sum(_declared_step(run) * len(_timed_seeds(study, run)) for run in _timed_runs(study).values())
    return (WARM_UP + TIMED_ROUNDS) * rounds / sum(map(_declared_step, runs))


def _kind(entry: Entry, network: Spec) -> str:
    return f"{entry.name} [{network}]"


def _timed_runs(study: Study) -> dict[str, Run]:
    """What steps by itself, by name."""
    return {entry.name: entry.run for entry in study.entries} | ({} if study.quick else dict(_kinds(study)))


def _kinds(study: Study) -> Iterator[tuple[str, Run]]:
    """Of entries of networks trained alone that are of several kinds, each kind by itself."""
    for entry in study.entries:
        if entry.alone and len(set(entry.networks)) > 1:
            for network in dict.fromkeys(entry.networks):
                yield _kind(entry, network), entry.run.replace(models=(network,))


def _unit(study: Study) -> str:
    """The name of what everything is a multiple of."""
    first = study.entries[0]
    mixed = len(set(first.networks)) > 1 and not study.quick
    return _kind(first, first.networks[0]) if mixed else first.name


def _examples(run: Run) -> int:
    """Of one step of one network."""
    return run.batch + run.unlabelled


def _timed_step(fleet: Fleet, turn: int, rounds: int) -> float:
    """The seconds of a step."""
    started = time.perf_counter()
    with computing_with(fleet.execution.threads), seeded(fleet.device, fleet.run.seed, "timing", turn):
        # spread over training: methods may begin late, or end early
        take(fleet, turn * fleet.epochs // rounds, turn % fleet.steps)
    if fleet.device.type == "cuda":
        torch.cuda.synchronize(fleet.device)
    return time.perf_counter() - started


def _timed_fleet(study: Study, run: Run, teachers: Mapping[tuple[int, int], Mapping[str, Path]], given: Given) -> Fleet:
    seeds = _timed_seeds(study, run)
    given = {**given, "teachers": teachers[seeds[0], 0]}
    return build_fleet([run.replace(seed=seed) for seed in seeds], **given)


def _timed_seeds(study: Study, run: Run) -> Sequence[int]:
    """Of the networks that step at once: about `TIMED_NETWORKS`, or those of a single run."""
    many = study.stacked and not study.quick
    return study.seeds[: max(1, TIMED_NETWORKS // run.peers)] if many else study.seeds[:1]


def networks_trained(study: Study) -> int:
    """How many networks a study trains."""
    return sum(entry.run.peers for entry in study.entries) * len(study.trainings)


def declared_cost(run: Run) -> float:
    """What a run's training costs, as far as it is known before it: network passes with their examples.

    A backward pass counts as two forward ones; passes are those that its method declares, so that only ratios of the
    runs of one study mean something.
    """
    steps = run.steps or run.epochs / run.batch  # of as many examples
    return _declared_step(run) * steps


def _declared_step(run: Run) -> float:
    """`declared_cost` of one step."""
    method = methods.find(run.method)
    numbers = re.match(r"([\d.]+) / ([\d.]+)", method.cost or ("2 / 1" if method.needs.teacher else "1 / 1"))
    forward, backward = map(float, numbers.groups()) if numbers else (1.0, 1.0)
    return run.peers * (forward + 2 * backward) / 3 * _examples(run)


__all__ = ["Costs", "alone_costs", "are_whole", "declared_cost", "measure_costs", "networks_trained", "timing_steps"]
