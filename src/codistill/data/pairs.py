"""Pairs of an input and a label, Python objects that are read and checked one by one."""

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from codistill.data.images.cut import Cut

KINDS = ("texts", "token ids", "images")


@dataclass(frozen=True)
class Pairs:
    """Inputs and labels as they were given, and their name in messages."""

    name: str
    xs: list[Any]
    ys: list[Any]

    @classmethod
    def read(cls, name: str, pairs: Iterable[Any]) -> "Pairs":
        """All examples; a ValueError gives the number of one that is no pair."""
        rows = list(_each(pairs))
        for number, row in enumerate(rows):
            kind = f"{len(row)} things" if isinstance(row, tuple | list) else f"a {type(row).__name__}"
            if kind != "2 things":
                raise ValueError(f"{name}, example {number} is {kind}: give a pair of an input and a label")
        if not rows:
            raise ValueError(f"{name} is empty: give it examples")
        return cls(name, [x for x, _ in rows], [y for _, y in rows])

    def kind(self) -> str:
        """What the inputs are, one of `KINDS`; a ValueError gives the number of one that differs from the first."""
        kinds = list(map(_kind, self.xs))
        for number, kind in enumerate(kinds):
            if kind not in KINDS:
                raise ValueError(f"{self.name}, example {number} is {kind}: give an image, a text or token ids")
            if kind != kinds[0]:
                raise ValueError(f"{self.name}, example {number} is of {kind}, the first of {kinds[0]}: give one kind")
        return kinds[0]

    def images(self) -> Tensor:
        """``[N, C, H, W]``, bytes or floating; a ValueError gives the number of one of another form than the first."""
        images: list[Tensor] = []
        cut = Cut(grey=None, how="same")
        for number, x in enumerate(self.xs):
            where, array = f"{self.name}, example {number}", isinstance(x, Tensor | np.ndarray)
            cut = cut if array else cut.settled(x)
            try:
                image = _tensor(x) if array else cut.apply(x)
            except ValueError as error:
                raise ValueError(f"{where} {error}") from error
            first = images[0] if images else image
            if image.shape != first.shape or image.dtype != first.dtype:
                raise ValueError(f"{where} is {_form(image)}, the first {_form(first)}: convert them to one form")
            images.append(image)
        return torch.stack(images)

    def ids(self, length: int | None) -> Tensor:
        """Token ids ``[N, length]``, cut, and padded with 0 at the end; None: as long as the longest.

        Raises:
            ValueError: an example without a token, or with a 0 before one; gives the number.
        """
        x = _padded([torch.as_tensor(x).long() for x in self.xs], length, 0)
        real = x != 0
        if len(empty := (~real.any(1)).nonzero()):
            raise ValueError(f"{self.name}, example {int(empty[0])} has no token (id 0 is padding): leave it out")
        if len(gaps := (real[:, 1:] & ~real[:, :-1]).any(1).nonzero()):
            gap = f"{self.name}, example {int(gaps[0])} has id 0 before other ids, and 0 is padding, at the end"
            raise ValueError(f"{gap}: number the tokens from 1, or move the padding")
        return x

    def check_ids(self, x: Tensor, vocabulary: int) -> None:
        """Raise a ValueError with the number of the example, where an id is not of the vocabulary."""
        wrong = (x < 0) | (x >= vocabulary)
        if wrong.any():
            has = f"{self.name}, example {int(wrong.nonzero()[0, 0])} has id {int(x[wrong][0])}"
            raise ValueError(f"{has}: ids go from 0 to {vocabulary - 1}; set vocabulary")

    def labels(self, task: str, length: int | None = None) -> Tensor:
        """Labels, int64: ``[N]``, ``[N, C]`` of several, or ``[N, length]`` of tokens, padded with -1.

        Raises:
            ValueError: one is not a whole number, or of another form than the first; gives its number.
        """
        rows = [self._label(number, y) for number, y in enumerate(self.ys)]
        many = task == "multilabel" or (task == "tokens" and rows[0].ndim == 1)
        for number, row in enumerate(rows):
            same = row.shape == rows[0].shape if task == "multilabel" else row.numel() == 1 or task == "tokens"
            if (many and row.ndim != 1) or not same:
                needs = f"{rows[0].numel()}, as the first" if many and rows[0].ndim else "one number"
                raise ValueError(f"{self.name}, example {number} has {row.numel()} labels; task {task!r} needs {needs}")
        if not many:
            return torch.stack([row.reshape(()) for row in rows])
        return torch.stack(rows) if task == "multilabel" else _padded(rows, length, -1)

    def _label(self, number: int, y: Any) -> Tensor:
        try:
            label = torch.as_tensor(y)
        except (TypeError, ValueError, RuntimeError):
            label = torch.tensor(torch.nan)
        if label.ndim > 1 or label.is_complex() or (label != label.long()).any():
            raise ValueError(f"{self.name}, example {number} has label {y!r}: give a class, counted from 0")
        return label.long()


def _padded(rows: list[Tensor], length: int | None, value: int) -> Tensor:
    """Rows as ``[N, length]``, cut, or filled at the end; None: as long as the longest."""
    x = pad_sequence([row[:length] for row in rows], batch_first=True, padding_value=value)
    return functional.pad(x, (0, (length or x.shape[1]) - x.shape[1]), value=value)


def _each(pairs: Iterable[Any]) -> Iterator[Any]:
    """Examples one by one, those of a loader's batches too."""
    if isinstance(pairs, DataLoader) and pairs.batch_sampler is not None:  # it has one wherever there is a batch size
        for batch in pairs:
            if not isinstance(batch, tuple | list) or len(batch) != 2:
                raise ValueError(f"a batch of the loader is a {type(batch).__name__}: let it give inputs and labels")
            yield from zip(*batch, strict=True)
    elif hasattr(pairs, "__getitem__") and isinstance(pairs, Sized):  # torch's own have no other end
        yield from (pairs[number] for number in range(len(pairs)))
    else:
        yield from pairs


def _kind(x: Any) -> str:
    """What an input is, in the plural."""
    if isinstance(x, str):
        return "texts"
    if isinstance(x, Tensor | np.ndarray):
        integer = not torch.as_tensor(x).is_floating_point()
        return "token ids" if x.ndim == 1 and integer else "images" if x.ndim in (2, 3) else f"of shape {list(x.shape)}"
    if isinstance(x, list | tuple):
        integers = all(isinstance(item, int | np.integer) and not isinstance(item, bool) for item in x)
        return "token ids" if integers else "a list of other things than whole numbers"
    return "images" if hasattr(x, "mode") and hasattr(x, "size") else f"a {type(x).__name__}"


def _tensor(x: Tensor | np.ndarray[Any, Any]) -> Tensor:
    """An image ``[C, H, W]``, from a tensor that has that form or an array ``[H, W, C]``; either may be grey."""
    image = x if isinstance(x, Tensor) else torch.from_numpy(np.ascontiguousarray(x))
    if image.ndim == 3 and not isinstance(x, Tensor):
        if image.shape[2] > 4:
            ways = "give [height, width, channels], or a tensor [channels, height, width]"
            raise ValueError(f"is an array of shape {list(image.shape)}: {ways}")
        image = image.permute(2, 0, 1)
    if image.dtype != torch.uint8 and not image.is_floating_point():
        raise ValueError(f"is {image.dtype}: make it uint8 or floating")
    image = (image if image.dtype == torch.uint8 else image.float()).detach().cpu()
    return image if image.ndim == 3 else image[None]


def _form(image: Tensor) -> str:
    return f"{image.dtype} of shape {list(image.shape)}"
