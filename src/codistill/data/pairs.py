"""Pairs of an input and a label, Python objects that are read and checked one by one."""

from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
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
        xs, ys = [], []
        for number, pair in enumerate(_each(pairs)):
            if not isinstance(pair, tuple | list) or len(pair) != 2:
                kind = f"{len(pair)} things" if isinstance(pair, tuple | list) else f"a {type(pair).__name__}"
                raise ValueError(f"{name}, example {number} is {kind}: give a pair of an input and a label")
            xs.append(pair[0])
            ys.append(pair[1])
        if not xs:
            raise ValueError(f"{name} is empty: give it examples")
        return cls(name, xs, ys)

    def kind(self) -> str:
        """What the inputs are, one of `KINDS`; a ValueError gives the number of one that differs from the first."""
        first = _kind(self.xs[0])
        for number, x in enumerate(self.xs):
            kind = _kind(x)
            if kind not in KINDS:
                raise ValueError(f"{self.name}, example {number} is {kind}: give an image, a text or token ids")
            if kind != first:
                raise ValueError(f"{self.name}, example {number} is of {kind}, the first of {first}: give one kind")
        return first

    def images(self) -> Tensor:
        """``[N, C, H, W]``, bytes or floating; a ValueError gives the number of one of another form than the first."""
        images: list[Tensor] = []
        cut = Cut(grey=None, how="same")
        for number, x in enumerate(self.xs):
            where = f"{self.name}, example {number}"
            if isinstance(x, Tensor | np.ndarray):
                image = _tensor(x, where)
            else:
                cut = cut.settled(x)
                try:
                    image = cut.apply(x)
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
        rows = [torch.as_tensor(x) for x in self.xs]
        out = torch.zeros(len(rows), length or max(map(len, rows)), dtype=torch.int64)
        for number, row in enumerate(rows):
            row = row[: out.shape[1]]
            real = row != 0
            if not real.any():
                raise ValueError(f"{self.name}, example {number} has no token (id 0 is padding): leave it out")
            if not real[: int(real.sum())].all():
                raise ValueError(
                    f"{self.name}, example {number} has id 0 before other ids, and 0 is padding, at the end: "
                    "number the tokens from 1, or move the padding"
                )
            out[number, : len(row)] = row
        return out

    def check_ids(self, x: Tensor, vocabulary: int) -> None:
        """Raise a ValueError with the number of the example, where an id is not of the vocabulary."""
        wrong = (x < 0) | (x >= vocabulary)
        if wrong.any():
            number = int(wrong.any(1).nonzero()[0])
            wrong_id = int(x[number][wrong[number]][0])
            raise ValueError(
                f"{self.name}, example {number} has id {wrong_id}: ids go from 0 to {vocabulary - 1}; set vocabulary"
            )

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
        if task == "multilabel":
            return torch.stack(rows)
        out = torch.full((len(rows), length or max(map(len, rows))), -1)
        for number, row in enumerate(rows):
            out[number, : len(row)] = row[: out.shape[1]]
        return out

    def _label(self, number: int, y: Any) -> Tensor:
        try:
            label = torch.as_tensor(y)
        except (TypeError, ValueError, RuntimeError):
            label = torch.tensor(torch.nan)
        if label.ndim > 1 or label.is_complex() or (label != label.long()).any():
            raise ValueError(f"{self.name}, example {number} has label {y!r}: give a whole number (classes from 0)")
        return label.long()


def _each(pairs: Iterable[Any]) -> Iterator[Any]:
    """Examples one by one, those of a loader's batches too."""
    if isinstance(pairs, DataLoader) and (pairs.batch_size is not None or pairs.batch_sampler is not None):
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


def _tensor(x: Tensor | np.ndarray[Any, Any], where: str) -> Tensor:
    """An image ``[C, H, W]``, from a tensor that has that form or an array ``[H, W, C]``; either may be grey."""
    image = x if isinstance(x, Tensor) else torch.from_numpy(np.ascontiguousarray(x))
    if image.ndim == 3 and not isinstance(x, Tensor):
        if image.shape[2] > 4:
            raise ValueError(
                f"{where} is an array of shape {list(image.shape)}: give [height, width, channels], or a tensor "
                "[channels, height, width]"
            )
        image = image.permute(2, 0, 1)
    if image.dtype != torch.uint8 and not image.is_floating_point():
        raise ValueError(f"{where} is {image.dtype}: make it uint8 or floating")
    image = image if image.dtype == torch.uint8 else image.float()
    return image.detach().cpu() if image.ndim == 3 else image.detach().cpu()[None]


def _form(image: Tensor) -> str:
    return f"{image.dtype} of shape {list(image.shape)}"
