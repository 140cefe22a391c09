"""Wrong labels: noise that some training labels are given; one kind to a file, the folder is the list."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from codistill.data.examples import TASKS, DataSet
from codistill.discovery import construct
from codistill.randomness import generator
from codistill.spec import Spec

Noise = Callable[[Tensor, int, torch.Generator], Tensor]  # labels [N], none -1, and the number of classes -> labels [N]


def noisy_labels(spec: str | Spec, dataset: DataSet, seed: int) -> Tensor:
    """The labels ``[N]`` of ``dataset.train`` with noise: a function of the seed; -1 stays -1.

    Raises:
        UnknownName: no such noise or option, with the nearest that exist.
        ValueError: an invalid value, or a task whose labels are not one class each.
    """
    noise: Noise | None = construct(__name__, spec)
    y = dataset.train.y
    if noise is None:
        return y
    if dataset.task not in ("classes", "binary"):
        raise ValueError(f"noise='{spec}' goes by class, and the task is {dataset.task!r}: leave noise out")
    values = TASKS[dataset.task].values or dataset.classes
    return noise(y, values, generator(seed, "label noise"))


def check_classes(spec: str | Spec, clean: Tensor, noisy: Tensor, names: Sequence[str]) -> None:
    """A ValueError where noise takes the last label of a class.

    Args:
        spec: The noise, for messages.
        clean: Labels ``[N]``.
        noisy: The same with noise.
        names: Of the classes.
    """
    if torch.equal(clean, noisy):
        return
    if lost := sorted(set(clean.tolist()) - set(noisy.tolist())):
        name = names[lost[0]]
        raise ValueError(
            f"noise='{spec}' leaves none of {len(clean)} labels to class {name!r}: lower it, raise labels, or choose "
            "another seed"
        )


def turned(y: Tensor, classes: int, rate: float, steps: Tensor | int, source: torch.Generator) -> Tensor:
    """Labels of which each is, with probability ``rate``, so many classes further on, going round; -1 stays -1."""
    wrong = (torch.rand(len(y), generator=source, dtype=torch.float64) < rate).to(y.device)
    return torch.where(wrong & (y >= 0), (y + steps) % classes, y)
