"""A data set from Python objects: examples one by one, of images, texts or token ids."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from codistill.checks import whole
from codistill.data.examples import TASKS, DataSet, Examples, Text, channel_statistics
from codistill.data.pairs import Pairs
from codistill.data.text.token_ids import TextOptions, token_ids
from codistill.spec import UnknownName


def from_dataset(
    train: Iterable[Any],
    test: Iterable[Any],
    *,
    task: str = "classes",
    classes: int | None = None,
    names: Sequence[str] = (),
    length: int | None = None,
    vocabulary: int | None = None,
    tokenizer: str = "bpe",
    vectors: str | None = None,
    lowercase: bool = True,
    min_count: int = 2,
) -> DataSet:
    """A data set from pairs of an input and a label; all of them are loaded into memory.

    An input is an image (a PIL image, a tensor ``[C, H, W]`` or ``[H, W]``, an array ``[H, W, C]`` or ``[H, W]``;
    bytes, or floating), a text, or token ids (a list, or a tensor of one axis), whose padding is id 0. The images' mean
    and standard deviation are those of the training part. Random augmentation in your own data set happens once, here:
    leave it to a run's ``augment``.

    Args:
        train: A torch data set, any iterable of pairs, or a `DataLoader` (its batches are taken apart).
        test: In the same form.
        task: classes, binary, multilabel (0 or 1 for each class) or tokens.
        classes: Outputs; None: as many as names, or as the training labels need; 1 where binary.
        names: Of the classes.
        length: Of each text (None: 128) or list of ids (None: of the longest).
        vocabulary: Token ids; None: 15,000 of a tokenizer that is trained, else what the ids need.
        tokenizer: Of texts, as all that follow: see `codistill.data.text.token_ids.TextOptions`.

    Raises:
        ValueError: an example that is not a pair, of another form than the first, or with a label out of range; gives
            its number.
        ImportError: texts, and the `tokenizers` library is not installed.
    """
    if task not in TASKS:
        raise UnknownName("task", task, TASKS)
    for setting, value in (("length", length), ("vocabulary", vocabulary)):
        if value is not None:
            whole(setting, value)
    options = TextOptions("own", vocabulary or 15_000, length or 128, tokenizer, vectors, lowercase, min_count)
    pairs = Pairs.read("train", train), Pairs.read("test", test)
    xs, text = _inputs(pairs, options, length, vocabulary)
    ys = [part.labels(task, xs[0].shape[1] if text else None) for part in pairs]
    mean, std = ((), ()) if text else channel_statistics(xs[0])
    seen, held = (Examples(x, y) for x, y in zip(xs, ys, strict=True))
    return DataSet(seen, held, classes or _outputs(task, ys[0], names), task, mean, std, tuple(names), text)


def _inputs(
    pairs: tuple[Pairs, Pairs], options: TextOptions, length: int | None, vocabulary: int | None
) -> tuple[tuple[Tensor, Tensor], Text | None]:
    """The inputs of both parts, and what is known of token ids."""
    train, test = pairs
    if (kind := train.kind()) != (other := test.kind()):
        raise ValueError(f"train holds {kind} and test {other}: give one kind")
    if kind == "images":
        return (train.images(), test.images()), None
    if kind == "texts":
        return token_ids(train.xs, test.xs, options, Path())
    length = length or max(len(x) for part in pairs for x in part.xs)
    xs = train.ids(length), test.ids(length)
    text = Text(vocabulary or int(xs[0].max()) + 1, "")
    for part, x in zip(pairs, xs, strict=True):
        part.check_ids(x, text.vocabulary)
    return xs, text


def _outputs(task: str, y: Tensor, names: Sequence[str]) -> int:
    """Number of outputs that the labels need."""
    if task == "binary":
        return 1
    return len(names) or (y.shape[1] if task == "multilabel" else max(int(y.max()) + 1, 2))
