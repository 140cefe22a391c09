"""Which examples are for training, validation and testing, and which are left unlabelled: drawn by seed, stratified."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from codistill.checks import number
from codistill.data.examples import DataSet, Examples, Retrieval
from codistill.data.noise import check_classes, noisy_labels
from codistill.randomness import generator
from codistill.spec import Spec

CLEAN = Spec("none")  # no noise


@dataclass(frozen=True)
class Parts:
    """A data set as one run sees it; `test` is the data set's, whatever the seed.

    Attributes:
        index: the numbers of `train` in the data set's, ``[n]``.
        noisy: the share of the labels of `train` that noise has changed.
    """

    train: Examples
    valid: Examples
    unlabelled: Examples
    test: Examples
    index: Tensor
    noisy: float = 0.0


def limited(dataset: DataSet, limit: int | None) -> DataSet:
    """A data set cut to so many training, and as many test, examples, the same for every seed, for a quick trial.

    Classes keep their share, but may be left without an example; of a retrieval set whole identities are taken.

    Raises:
        ValueError: a limit of less than 2.
    """
    if limit is None:
        return dataset
    if limit < 2:
        raise ValueError(f"limit={limit}: give at least 2 examples, or none")
    train, retrieval = dataset.train.take(_some(dataset.train.y, limit, "train")), dataset.retrieval
    if retrieval is None:
        return replace(dataset, train=train, test=dataset.test.take(_some(dataset.test.y, limit, "test")))
    chosen = _identities(retrieval, limit)
    some = Retrieval(retrieval.identity[chosen], retrieval.camera[chosen], retrieval.query[chosen])
    return replace(dataset, train=train, test=dataset.test.take(chosen), retrieval=some)


def _some(y: Tensor, limit: int, part: str) -> Tensor:
    """Indices of so many examples of known class; all of unknown class stay."""
    strata = strata_of(y)
    known = int((strata >= 0).sum())
    chosen, rest = deal(strata, ((min(limit, known), 0),), generator(0, "limit", part))
    return torch.cat([chosen, rest[strata[rest] < 0]]).sort().values


def _identities(retrieval: Retrieval, limit: int) -> Tensor:
    """Indices of all images of some of the query identities, about so many."""
    identities = torch.unique(retrieval.identity[retrieval.query & (retrieval.identity >= 0)])
    identities = identities[torch.randperm(len(identities), generator=generator(0, "limit", "identities"))]
    sizes = (retrieval.identity.unsqueeze(0) == identities.unsqueeze(1)).sum(1)
    taken = identities[: max(1, int((sizes.cumsum(0) <= limit).sum()))]
    return torch.isin(retrieval.identity, taken).nonzero().flatten()


def split(
    dataset: DataSet, seed: int, *, labels: int | None = None, valid: int | float = 0, noise: str | Spec = CLEAN
) -> Parts:
    """Draw the labelled, validation and unlabelled examples from ``dataset.train``, stratified by class.

    How many each class gives is the same for every seed. For one seed, the labelled examples of a smaller
    ``labels`` are among those of a larger one (up to the rounding of shares), and the validation part is the
    same for all. Noise changes labels, not which examples are drawn; the test part stays clean.

    Args:
        dataset: Its `train` is split; examples that are unlabelled there go to the unlabelled pool.
        seed: Which examples are drawn.
        labels: How many keep their label for training; None: all that validation leaves.
        valid: How many to validate on (a count), or which fraction of the labelled ones (0.1).
        noise: Wrong labels, of training and validation (a spec; see `codistill.data.noise`).

    Raises:
        ValueError: more than there are, too few labels for every class to have one, or noise that takes a class's last.
    """
    strata = strata_of(dataset.train.y)
    wanted, held = _sizes_of(strata, labels, valid)
    chosen, drawn, rest = deal(strata, ((held, 0), (wanted, 1)), generator(seed, "split"))
    if missing := sorted(set(strata[strata >= 0].tolist()) - set(strata[drawn].tolist())):
        raise ValueError(f"valid={valid} takes every example of classes {missing}: lower it")
    given = noisy_labels(noise, dataset, seed)
    train, valid_part = (replace(dataset.train.take(i), y=given[i]) for i in (drawn, chosen))
    check_classes(noise, dataset.train.y[drawn], train.y, dataset.label_names)
    unlabelled = dataset.train.take(rest)
    return Parts(
        train=train,
        valid=valid_part,
        unlabelled=replace(unlabelled, y=torch.full_like(unlabelled.y, -1)),
        test=dataset.test,
        index=drawn,
        noisy=float((train.y != dataset.train.y[drawn]).double().mean()),
    )


def deal(y: Tensor, parts: Sequence[tuple[int, int]], source: torch.Generator) -> list[Tensor]:
    """Indices of disjoint parts, and of the rest, each in ascending order; every class in its share.

    Args:
        y: Classes ``[N]``; examples at -1 belong to the rest.
        parts: For each part, how many examples it gets, and how many of each class at least (see `shares`).
        source: Where the draw comes from.
    """
    labels = y.cpu()
    counts = torch.bincount(labels[labels >= 0], minlength=1)
    taken = torch.zeros(len(parts) + 1, len(counts), dtype=torch.int64)
    for i, (total, least) in enumerate(parts):
        taken[i + 1] = taken[i] + torch.tensor(shares((counts - taken[i]).tolist(), total, least))
    upper = taken[1:, labels.clamp(min=0)]
    part = (_rank(labels, source) >= upper).sum(0).where(labels >= 0, len(parts))
    return [(part == i).nonzero().flatten().to(y.device) for i in range(len(parts) + 1)]


def shares(counts: Sequence[int], total: int, least: int = 0) -> list[int]:
    """How many of ``total`` each class gives, in proportion to its count, by largest remainder.

    Every class gives at least ``least`` where it has them; ties go to the lower class.

    Raises:
        ValueError: there are fewer than ``total``, or it is too few for ``least``.

    >>> shares([50, 30, 20], 7)
    [4, 2, 1]
    """
    pool, floor = sum(counts), [min(least, n) for n in counts]
    if not sum(floor) <= total <= pool:
        raise ValueError(f"total={total}: give from {sum(floor)} to {pool} for classes of {list(counts)}")
    got = [max(total * n // max(pool, 1), f) for n, f in zip(counts, floor, strict=True)]

    def lack(c: int) -> int:
        return total * counts[c] - got[c] * pool

    while sum(got) < total:
        got[max((c for c, n in enumerate(counts) if got[c] < n), key=lack)] += 1
    while sum(got) > total:
        got[min((c for c, n in enumerate(floor) if got[c] > n), key=lack)] -= 1
    return got


def hold_out(name: str, y: Tensor, classes: Sequence[object], test: float) -> tuple[Tensor, Tensor]:
    """Indices to train and to test on, where there is no test set: stratified, the same for every seed.

    Args:
        name: Of the data set: seeds the draw, and for messages.
        y: Labels ``[N]``; -1 is unlabelled, and trained on.
        classes: Names of the classes.
        test: Fraction of the labelled examples to test on, at least one of each class.

    Raises:
        ValueError: no fraction, or one that leaves a class without an example to train on.
    """
    if not isinstance(test, float) or not 0 < test < 1:
        raise ValueError(f"{name}: test={test!r}: give a fraction between 0 and 1, such as 0.2")
    labelled = int((y >= 0).sum())
    size = max(round(test * labelled), len(classes))
    if size > labelled:
        raise ValueError(f"{name}: {labelled} examples of {len(classes)} classes: add some")
    held, train = deal(y, ((size, 1),), generator(0, "test set", name))
    if lacking := set(y.tolist()) - set(y[train].tolist()):
        lost = f"no example of class {str(classes[min(lacking)])!r} to train on"
        raise ValueError(f"{name}: test={test} leaves {lost}: add some, or lower it")
    return train, held


def _rank(y: Tensor, source: torch.Generator) -> Tensor:
    """A random place ``[N]`` for each example among those of its class."""
    shuffled = torch.randperm(len(y), generator=source)
    grouped = shuffled[y[shuffled].argsort(stable=True)]
    ordered = y[grouped]
    rank = torch.arange(len(y)) - torch.searchsorted(ordered, ordered)
    return torch.empty_like(rank).scatter_(0, grouped, rank)


def strata_of(y: Tensor) -> Tensor:
    """Classes ``[N]`` to stratify by; one class, or -1, where there are several labels."""
    return y if y.ndim == 1 else (y >= 0).any(1).long() - 1


def _sizes_of(strata: Tensor, labels: int | None, valid: int | float) -> tuple[int, int]:
    """How many examples `split` trains and validates on, once it is known that there are as many."""
    known = strata[strata >= 0]
    pool, classes = len(known), len(torch.unique(known))
    if isinstance(valid, float) and valid >= 1:
        raise ValueError(f"valid={valid}: a fraction is from 0 to below 1; for a count write {valid:.0f}")
    number("valid", valid)
    held = round(valid * pool) if isinstance(valid, float) else valid
    wanted = pool - held if labels is None else labels
    settings = f"labels={labels}, valid={valid}"
    for setting, count in (("valid", held), ("labels", wanted)):
        if count > pool:
            raise ValueError(f"{setting}={count}, but there are only {pool} labelled examples: lower it")
    if (over := wanted + held - pool) > 0:
        raise ValueError(f"{settings}: {wanted + held} examples of {pool} that have a label: lower one by {over}")
    if wanted < classes:
        fix = "lower valid" if labels is None else "raise labels"
        raise ValueError(f"{settings}: {wanted} labels for {classes} classes: {fix}")
    return wanted, held
