"""What runs, methods and settings need of each other, said before the first step."""

from collections.abc import Sequence

from codistill import discovery, methods
from codistill.description import PYTHON
from codistill.methods import Imitation, Method
from codistill.run import RATES, Run
from codistill.spec import Spec

OWN = ("method", "peers", "models", "seed", *RATES)


def check_needs(method: Method, run: Run) -> None:
    """What a method needs and the settings do not give is an error before the first step."""
    name, needs = str(run.method), method.needs
    if (needs.augmentation or run.own_views) and not run.augment:
        raise ValueError(f"method {name!r} needs distorted views, and augment is empty: set it, e.g. crop:pad=1 flip")
    if needs.partners and run.unlabelled:
        raise ValueError(f"method {name!r} needs partners of the same class, which unlabelled samples have not")
    if run.unlabelled and not needs.unlabelled:
        raise ValueError(f"method {name!r} learns nothing from unlabelled={run.unlabelled} samples: set it to 0")
    if isinstance(method, Imitation) and method.on == "unlabelled" and not run.unlabelled:
        raise ValueError(
            f"method {name!r} imitates on unlabelled samples, and there are none: set unlabelled, how many of them in "
            "a step, and labels, so that some are left without one (--labels 80 --unlabelled 100), or on=all"
        )
    check_shards(method, run)
    if needs.branches and run.branch_at is None:
        raise ValueError(f"method {name!r} needs branches of one trunk: set branch_at, e.g. stage3")
    if run.branch_at is not None and run.update != "together":
        raise ValueError(f"update={run.update!r}: branches of one trunk have no turns; use update='together'")
    if run.branch_at is not None and (needs.own_views or run.own_views or run.private):
        raise ValueError(
            f"branch_at={run.branch_at!r}: branches of one trunk see the same inputs, and method {name!r} or own_views "
            "or shards gives each its own; leave branch_at out"
        )
    if methods.is_mutual(name) and run.peers < 2:
        raise ValueError(f"peers=1: {name!r} has nobody to learn from; set peers to 2 or more, or method to alone")


def check_shards(method: Method, run: Run) -> None:
    """Peers with labels of their own, and a method that compares what they make of the same samples, are an error."""
    if not run.private or method.needs.shards:
        return
    if method.needs.common and run.unlabelled:
        if isinstance(method, Imitation):
            method.check_private()
        return
    what = f"shards='{run.shards}': peers of '{run.method}' compare what they make of samples that all have"
    if method.needs.common:
        raise ValueError(
            f"{what}, and there are none: set unlabelled, how many of them in a step, and labels, so that some are "
            "left without one (--labels 80 --unlabelled 100)"
        )
    raise ValueError(f"{what}; use method 'dml', 'alone' or another for private labels, or shards=none")


def check_silo(runs: Sequence[Run], peer: int) -> None:
    """Settings with which a run is no silo's are an error.

    Raises:
        ValueError: names the setting, the value and the fix.
    """
    run = runs[0]
    if len(runs) > 1:
        raise ValueError(f"{len(runs)} runs are trained as one: train one run in each silo")
    if peer >= run.peers:
        raise ValueError(f"peer={peer}: there are peers 0 to {run.peers - 1}: give one of them, or raise peers")
    if not run.private:
        raise ValueError("shards='none': silos have labels of their own: set shards, e.g. equal")
    if run.steps is None:
        raise ValueError("steps=none: silos with unlike numbers of examples have no epochs in common: set steps")
    if not run.unlabelled:
        raise ValueError("unlabelled=0: silos tell each other what they predict for samples without a label: set it")
    unset = {"labels": None, "noise": Spec("none"), "branch_at": None, "limit": None}
    fixed = {"update": "together", "on_divergence": "stop"}
    for name, value in (unset | fixed).items():
        if getattr(run, name) != value:
            fix = "leave it out" if name in unset else f"use {value!r}"
            raise ValueError(f"{name}={str(getattr(run, name))!r}: a silo learns from what it has, by itself: {fix}")


def check_runs(runs: Sequence[Run], silo: int | None = None) -> None:
    """What keeps runs from being one fleet, or the peer of a silo, is an error.

    Raises:
        ValueError: names the setting.
    """
    if not runs:
        raise ValueError("there is no run to train")
    if silo is not None:
        check_silo(runs, silo)
    if len(set(runs)) != len(runs):
        raise ValueError("the same run is there twice: give each a seed or a method of its own")
    for run in runs:
        _check_names(run)
    first = runs[0].as_dict()
    if runs[0].keep == "best_valid" and not (runs[0].evaluate_every and runs[0].valid):
        valid = runs[0].valid or 0.1
        raise ValueError(
            f"keep='best_valid' chooses by validation, with valid={runs[0].valid:g} and evaluate_every="
            f"{runs[0].evaluate_every}: set valid={valid:g}, evaluate_every={runs[0].evaluate_every or 1} (the part of "
            "the examples that is held out, and the epochs from one validation to the next)"
        )
    if runs[0].evaluate_every and not runs[0].valid:
        raise ValueError(
            f"evaluate_every={runs[0].evaluate_every}: there is nothing to evaluate on; set valid, the part (or "
            "number) of examples to hold out"
        )
    if runs[0].private and len({run.peers for run in runs}) > 1:
        raise ValueError(f"shards='{runs[0].shards}': runs of one fleet need the same number of peers")
    for run in runs[1:]:
        for field, value in run.as_dict().items():
            if field not in OWN and value != first[field]:
                raise ValueError(
                    f"runs of one fleet differ in {field} ({first[field]!r} and {value!r}); they may differ in "
                    f"{', '.join(OWN)} only"
                )


def _check_names(run: Run) -> None:
    """The method and the networks are there by name, or are the user's own, before anything is made."""
    for kind, specs in (("methods", [run.method]), ("models", run.networks())):
        for spec in specs:
            if spec.name != PYTHON:
                discovery.check_name(f"codistill.{kind}", spec)
