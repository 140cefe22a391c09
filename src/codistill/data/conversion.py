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
        train: To train on: a torch data set, any iterable of pairs, or a `DataLoader` (its batches are taken apart).
        test: To test on.
        task: ``classes``, ``binary``, ``multilabel`` (0 or 1 for each class) or ``tokens``.
        classes: Number of outputs. None: as many as `names`, or as the training labels need; 1 where binary.
        names: Of the classes.
        length: Tokens of each text (None: 128) or list of ids (None: of the longest); longer ones are cut.
        vocabulary: Number of token ids. None: 15,000 of a tokenizer that is trained, else what the ids need.
        tokenizer: Of texts; see `codistill.data.text.token_ids.TextOptions`, also for the following options.
        vectors: Path of word vectors.
        lowercase: Capitals are read as small letters.
        min_count: How often a word or a pair of pieces must be seen.

    Raises:
        ValueError: an example that is no pair, of another form than the first one, or with a label out of range; gives
            its number.
        ImportError: texts, and the `tokenizers` library is not installed.
    """
    if task not in TASKS:
        raise UnknownName("task", task, TASKS)
    for setting, value in (("length", length), ("vocabulary", vocabulary)):
        if value is not None:
            whole(setting, value)
    pairs = [Pairs.read(name, examples) for name, examples in (("train", train), ("test", test))]
    kind, other = (part.kind() for part in pairs)
    if kind != other:
        raise ValueError(f"train holds {kind} and test {other}: give one kind")
    text = None
    if kind == "images":
        xs = [part.images() for part in pairs]
    elif kind == "texts":
        options = TextOptions("own", vocabulary or 15_000, length or 128, tokenizer, vectors, lowercase, min_count)
        ids, text = token_ids(pairs[0].xs, pairs[1].xs, options, Path())
        xs = list(ids)
    else:
        length = length or max(len(x) for part in pairs for x in part.xs)
        xs = [part.ids(length) for part in pairs]
        text = Text(vocabulary or int(xs[0].max()) + 1, "")
        for part, x in zip(pairs, xs, strict=True):
            part.check_ids(x, text.vocabulary)
    ys = [part.labels(task, None if kind == "images" else xs[0].shape[1]) for part in pairs]
    outputs = classes or _outputs(task, ys[0], names)
    mean, std = _statistics(xs[0]) if kind == "images" else ((), ())
    seen, held = (Examples(x, y) for x, y in zip(xs, ys, strict=True))
    return DataSet(seen, held, outputs, task, mean, std, tuple(names), text)


def _outputs(task: str, y: Tensor, names: Sequence[str]) -> int:
    """Number of outputs that the labels need."""
    if task == "binary":
        return 1
    return len(names) or (y.shape[1] if task == "multilabel" else max(int(y.max()) + 1, 2))


def _statistics(x: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of images; 1 for a channel that never changes."""
    if not x.is_floating_point():
        return channel_statistics(x)
    std = x.std((0, 2, 3), correction=0)
    return tuple(x.mean((0, 2, 3)).tolist()), tuple(std.where(std > 0, 1.0).tolist())
