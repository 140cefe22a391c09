"""What a data set is: examples with labels, and the facts that training and evaluation need."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from codistill import files
from codistill.data.images.cut import Cut
from codistill.data.images.lazy import LazyImages

STRIDE = 1024  # images counted at a time


@dataclass(frozen=True)
class Examples:
    """Inputs and their labels, on one device.

    Attributes:
        x: Images ``[N, C, H, W]``, uint8 or floating on the 0..1 scale, in memory or read when needed
            (`LazyImages`); or token ids ``[N, T]``, int64.
        y: Labels, int64, -1 where unlabelled: ``[N]``, ``[N, classes]`` for several labels each,
            or ``[N, T]``.
        group: Whose each example is, such as a clinic's, by its number in `DataSet.groups`: ``[N]`` int64.

    Raises:
        ValueError: on construction, for another shape or dtype, or where the two differ in length.
    """

    x: Tensor | LazyImages
    y: Tensor
    group: Tensor | None = None

    def __post_init__(self) -> None:
        images = self.x.dtype == torch.uint8 or self.x.is_floating_point()
        if not images and self.x.dtype != torch.int64:
            raise ValueError(f"x is {self.x.dtype}: make it uint8 or floating (images) or int64 (token ids)")
        axes, form = (4, "[N, C, H, W]") if images else (2, "[N, T]")
        if self.x.ndim != axes:
            raise ValueError(f"x is {self.x.dtype} of shape {list(self.x.shape)}: reshape it to {form}")
        if self.y.dtype != torch.int64 or self.y.ndim not in (1, 2):
            raise ValueError(f"y is {self.y.dtype} of shape {list(self.y.shape)}: make it int64 [N] (y.long())")
        if len(self.x) != len(self.y):
            raise ValueError(f"x has {len(self.x)} examples and y has {len(self.y)}: give one label to each")
        if self.group is not None and (self.group.dtype != torch.int64 or self.group.shape != (len(self.x),)):
            raise ValueError(
                f"group is {self.group.dtype} of shape {list(self.group.shape)}: make it int64 [{len(self.x)}]"
            )

    def __len__(self) -> int:
        return len(self.x)

    def to(self, device: torch.device | str) -> "Examples":
        """The same examples on a device."""
        group = None if self.group is None else self.group.to(device)
        return Examples(self.x.to(device), self.y.to(device), group)

    def take(self, index: Tensor) -> "Examples":
        """The examples at ``index [n]``, in that order."""
        x = self.x.take(index) if isinstance(self.x, LazyImages) else self.x[index]
        return Examples(x, self.y[index], None if self.group is None else self.group[index])

    def of_classes(self, numbers: Sequence[int]) -> "Examples":
        """The examples of some classes (labels ``[N]``, none -1), which are 0, 1, ... then, in that order."""
        new = torch.full((1 + max(*numbers, int(self.y.max())),), -1)
        new[list(numbers)] = torch.arange(len(numbers))
        every = replace(self, y=new[self.y])
        return every if bool((every.y >= 0).all()) else every.take((every.y >= 0).nonzero().flatten())

    def shared(self, readers: int) -> "Examples":
        """The same examples; images in files are read by an equal share of the worker processes."""
        return replace(self, x=self.x.shared(readers)) if isinstance(self.x, LazyImages) else self


@dataclass(frozen=True)
class Task:
    """What a task requires of a data set: its number of classes, and the labels' form and number of values."""

    classes: Sequence[int]  # how many there may be
    form: str  # of y: N examples, C classes, T tokens
    values: int | None = None  # None: as many as classes


TASKS = {
    "classes": Task(range(2, sys.maxsize), "[N]"),
    "binary": Task(range(1, 2), "[N]", values=2),
    "multilabel": Task(range(1, sys.maxsize), "[N, C]", values=2),
    "tokens": Task(range(1, sys.maxsize), "[N] or [N, T]"),
}


@dataclass(frozen=True)
class Text:
    """How token ids came out of text; id 0 is padding, at the end.

    Attributes:
        vocabulary: number of token ids.
        tokenizer: the `tokenizers` library's JSON; a run keeps it beside its checkpoints.
        vectors: word vectors ``[vocabulary, D]`` to start embeddings from, rows of NaN where a token has none.
    """

    vocabulary: int
    tokenizer: str
    vectors: Tensor | None = None


@dataclass(frozen=True)
class Retrieval:
    """The test part of a retrieval set, whose identities training has not seen: queries and gallery.

    Attributes:
        identity: ``[N]`` int64; -1 is junk, which no ranking counts; an identity without a query is a distractor.
        camera: ``[N]`` int64: a query is matched with images of its identity from other cameras.
        query: ``[N]`` bool; the others are the gallery.

    Raises:
        ValueError: on construction, for other shapes or dtypes, or where no query has a match.
    """

    identity: Tensor
    camera: Tensor
    query: Tensor

    def __post_init__(self) -> None:
        for name, dtype in (("identity", torch.int64), ("camera", torch.int64), ("query", torch.bool)):
            value = getattr(self, name)
            if value.dtype != dtype or value.shape != self.identity.shape or value.ndim != 1:
                form = f"{value.dtype} of shape {list(value.shape)}"
                raise ValueError(f"{name} is {form}: give {dtype} [{len(self.identity)}]")
        if not self._matches():
            queries, gallery = int(self.query.sum()), f"the gallery ({int((~self.query).sum())} images, query=False)"
            ways = f"give {gallery} the queries' identities, seen by other cameras"
            raise ValueError(f"none of {queries} queries has a match: {ways}")

    def _matches(self) -> bool:
        """Has an identity, of those with queries and gallery images, more than one camera? Then a query has a match."""
        asked, kept = self.identity[self.query], self.identity[~self.query]
        both = (self.identity >= 0) & torch.isin(self.identity, asked) & torch.isin(self.identity, kept)
        seen = torch.stack([self.identity[both], self.camera[both]], dim=1)
        return len(torch.unique(seen, dim=0)) > len(torch.unique(seen[:, 0]))


@dataclass(frozen=True)
class DataSet:
    """Examples to train on and to test on.

    Attributes:
        train: The pool from which training, validation and unlabelled examples are drawn.
        test: The same for all seeds.
        classes: Number of outputs that a model needs; 1 where the task is binary (two outputs are the task classes).
        task: One of `TASKS`; stated, never guessed from shapes.
        mean: Per channel, on the 0..1 scale; empty for token ids.
        std: As `mean`, all above 0.
        names: Of the classes (of both label values where the task is binary); may be empty.
        text: Of token ids.
        retrieval: Of a retrieval set; the test labels are then all -1.
        groups: Names of the groups of the training examples, where these have some.
        cut: How an image in a file became an example; None where they came from no files.

    Raises:
        ValueError: on construction, naming the setting, its value and the fix.
    """

    train: Examples
    test: Examples
    classes: int
    task: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    names: tuple[str, ...]
    text: Text | None = None
    retrieval: Retrieval | None = None
    groups: tuple[str, ...] = ()
    cut: Cut | None = None

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the values that a label may have: those of the classes, or their numbers."""
        return self.names or tuple(map(str, range(TASKS[self.task].values or self.classes)))

    @property
    def known(self) -> dict[str, int | Tensor | None]:
        """What a model may request by parameter name, besides classes and shape."""
        return {} if self.text is None else {"vocabulary": self.text.vocabulary, "vectors": self.text.vectors}

    def save_artefacts(self, folder: Path) -> None:
        """Write what the examples mean nothing without: the tokenizer of token ids, as ``tokenizer.json``."""
        if self.text is not None and self.text.tokenizer:
            files.write(folder / "tokenizer.json", self.text.tokenizer)

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"task={self.task!r}: use one of {', '.join(TASKS)}")
        task = TASKS[self.task]
        if self.classes not in task.classes:
            fix = "1; two outputs are task 'classes'" if self.task == "binary" else f"{task.classes[0]} or more"
            raise ValueError(f"classes={self.classes}: task {self.task!r} needs {fix}")
        train, test = (list(part.x.shape[1:]) for part in (self.train, self.test))
        if train != test:
            raise ValueError(f"train.x has examples of shape {train}, test.x of {test}: make them equal")
        named = 2 if self.task == "binary" else self.classes
        if self.names and len(self.names) != named:
            raise ValueError(f"names has {len(self.names)} entries: give {named}, or none at all")
        check_finite("train", self.train)
        check_finite("test", self.test)
        check_statistics(self.train, self.mean, self.std)
        if self.retrieval is not None and (given := len(self.retrieval.identity)) != (count := len(self.test)):
            raise ValueError(f"retrieval has {given} identities and test {count} examples: give one identity to each")
        group = self.train.group
        if group is not None and not bool(((group >= 0) & (group < len(self.groups))).all()):
            raise ValueError(
                f"train.group goes from {int(group.min())} to {int(group.max())}, and groups has {len(self.groups)} "
                "names: name them all, counted from 0"
            )
        axes = {form.count(",") + 1 for form in task.form.split(" or ")}
        for where, y in (("train.y", self.train.y), ("test.y", self.test.y)):
            if y.ndim not in axes or ("C" in task.form and y.shape[1] != self.classes):
                raise ValueError(f"{where} has shape {list(y.shape)}: task {self.task!r} needs {task.form}")
            check_range(where, y, task.values or self.classes)
        unknown = self.test.y == -1  # an error now, not after training
        if self.retrieval is None and (not len(unknown) or (unknown.any() if unknown.ndim == 1 else unknown.all())):
            missing = f"test.y has no label for {int(unknown.sum())} of {unknown.numel()}"
            raise ValueError(f"{missing}: test on labelled examples only, or set retrieval")


def check_statistics(examples: Examples, mean: Sequence[float], std: Sequence[float]) -> None:
    """Raise a ValueError where mean and standard deviation do not fit the examples: one value for each channel."""
    channels = examples.x.shape[1] if examples.x.ndim == 4 else 0
    for setting, values in (("mean", mean), ("std", std)):
        if len(values) != channels:
            raise ValueError(f"{setting}={tuple(values)}: give {channels} values, one for each channel")
        if not all(map(math.isfinite, values)):
            raise ValueError(f"{setting}={tuple(values)}: every value must be a number (not nan or inf)")
    if any(value <= 0 for value in std):
        raise ValueError(f"std={tuple(std)}: every value must be above 0 (1 for a channel that never changes)")


def check_finite(where: str, examples: Examples) -> None:
    """Raise a ValueError with the number of the first example that holds an invalid value."""
    if isinstance(examples.x, Tensor) and len(wrong := (~examples.x.flatten(1).isfinite().all(1)).nonzero()):
        raise ValueError(f"{where}, example {int(wrong[0])} holds an invalid value (nan or inf): repair it")


def check_range(where: str, y: Tensor, values: int) -> None:
    """Raise a ValueError that names the labels and the example, where a label is not from -1 to so many values."""
    wrong = (y < -1) | (y >= values)
    if wrong.any():
        which = f"the first such is example {int(wrong.nonzero()[0, 0])}, counted from 0"
        valid = f"labels go from 0 to {values - 1}, -1 is unlabelled"
        raise ValueError(f"{where} holds {int(y[wrong][0])}: {valid}; repair it ({which})")


def channel_statistics(x: Tensor | LazyImages) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of images ``[N, C, H, W]``, on the 0..1 scale.

    Of bytes exact, from the 256 counts of each channel, so without a floating copy of the images; the standard
    deviation of a channel that never changes is given as 1, so that dividing by it is harmless.
    """
    if isinstance(x, Tensor) and x.is_floating_point():
        mean, std = x.mean((0, 2, 3)), x.std((0, 2, 3), correction=0)
    else:
        level = torch.arange(256, dtype=torch.float64) / 255
        counts = torch.zeros(x.shape[1], 256, dtype=torch.int64)
        for first in range(0, len(x), STRIDE):
            channels = x[first : first + STRIDE].unbind(1)
            counts += torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in channels]).cpu()
        share = counts.double() / counts.sum(1, keepdim=True)
        mean = (share * level).sum(1)
        std = (share * (level - mean[:, None]) ** 2).sum(1).sqrt()
    return tuple(mean.tolist()), tuple(std.where(std > 0, 1.0).tolist())
