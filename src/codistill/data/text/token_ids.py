"""Texts and labels to a data set of token ids, cached on disk so that a second start is fast."""

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, fields
from functools import partial, wraps
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codistill.caching import digest
from codistill.checks import flag, whole
from codistill.data.disk_cache import cached, stamp
from codistill.data.examples import DataSet, Examples, Text
from codistill.data.text.tokenizer import MODELS, encode, fit_length, read_tokenizer, size, sources, train_tokenizer
from codistill.data.text.vectors import read_vectors

VERSION = "1"  # of how ids are computed: raise it where that changes


@dataclass(frozen=True)
class TextOptions:
    """How a data set's texts become token ids: the options that all data sets of texts share.

    Attributes:
        name: of the data set, for messages.
        vocabulary: number of token ids, of a tokenizer that is trained here.
        length: tokens of each text; longer texts are cut, shorter ones padded with id 0.
        tokenizer: bpe, wordpiece or words, trained on the training part; or the path of a tokenizer.json, or of a
            folder with one.
        vectors: path of word vectors to start embeddings from, lines of ``word v1 v2 ...``.
        lowercase: capitals are read as small letters.
        min_count: how often a word or a pair of pieces must be seen.
        outputs: logits for each text; None: as many as classes; of two classes, 1 makes the task binary.

    Raises:
        ValueError: on construction, for an option out of range.
        FileNotFoundError: there is no such file of word vectors.
    """

    name: str
    vocabulary: int = 15_000
    length: int = 128
    tokenizer: str = "bpe"
    vectors: str | None = None
    lowercase: bool = True
    min_count: int = 2
    outputs: int | None = None

    def __post_init__(self) -> None:
        for setting, least in (("vocabulary", 8), ("length", 1), ("min_count", 1)):
            whole(f"{self.name}: {setting}", getattr(self, setting), least)
        flag(f"{self.name}: lowercase", self.lowercase)
        for setting, form in (("tokenizer", f"{', '.join(MODELS)} or a path"), ("vectors", "the path of a file")):
            value = getattr(self, setting)
            if not isinstance(value, str) and not (value is None and setting == "vectors"):
                raise ValueError(f"{self.name}: {setting}={value!r}: give {form}")
        if self.vectors is not None and not Path(self.vectors).is_file():
            raise FileNotFoundError(f"{self.name}: vectors={self.vectors}: no such file: name one of word vectors")

    def task(self, classes: int) -> tuple[int, str]:
        """Number of outputs and task for so many classes."""
        outputs = classes if self.outputs is None else self.outputs
        if outputs != classes and (outputs, classes) != (1, 2):
            fit = "2, or 1 (one logit for each text)" if classes == 2 else str(classes)
            raise ValueError(f"{self.name}: outputs={outputs!r} for {classes} classes: give {fit}")
        return (1, "binary") if outputs == 1 else (classes, "classes")


def takes_text_options(**defaults: int) -> Callable[[Callable[..., DataSet]], Callable[..., DataSet]]:
    """Give a function that has a parameter ``texts: TextOptions`` the options of `TextOptions`, by their names.

    Args:
        defaults: Where they differ from those of `TextOptions`.
    """

    def decorate(read: Callable[..., DataSet]) -> Callable[..., DataSet]:
        options = {field.name: defaults.get(field.name, field.default) for field in fields(TextOptions)[1:]}

        @wraps(read)
        def reader(*args: Any, **settings: Any) -> DataSet:
            given = {name: settings.pop(name, default) for name, default in options.items()}
            return read(*args, texts=TextOptions(read.__name__, **given), **settings)

        signature = inspect.signature(read)
        kept = [parameter for name, parameter in signature.parameters.items() if name != "texts"]
        more = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=d) for n, d in options.items()]
        reader.__signature__ = signature.replace(parameters=[*kept, *more])  # type: ignore[attr-defined]
        return reader

    return decorate


@dataclass(frozen=True)
class Texts:
    """Texts with their labels, -1 where a text has none."""

    texts: Sequence[str]
    labels: Sequence[int]

    def take(self, index: Sequence[int]) -> "Texts":
        """The texts at some indices, in that order."""
        return Texts([self.texts[i] for i in index], [self.labels[i] for i in index])


def text_data(train: Texts, test: Texts, names: tuple[str, ...], options: TextOptions, root: Path) -> DataSet:
    """The data set of texts with labels; see `token_ids`."""
    classes, task = options.task(len(names))
    xs, text = token_ids(train.texts, test.texts, options, root)
    ys = [torch.tensor(part.labels, dtype=torch.int64) for part in (train, test)]
    return DataSet(Examples(xs[0], ys[0]), Examples(xs[1], ys[1]), classes, task, (), (), names, text)


def token_ids(
    train: Sequence[str], test: Sequence[str], options: TextOptions, root: Path
) -> tuple[tuple[Tensor, Tensor], Text]:
    """Ids ``[N, length]`` of train and test: by a tokenizer trained on train, or the one that `options` names.

    The ids are cached (`codistill.data.disk_cache`) with a hash of the texts and of every option.

    Raises:
        ValueError: an option out of range, or a damaged file.
        FileNotFoundError: a tokenizer or vectors that do not exist.
        ImportError: the `tokenizers` library is not installed.
    """
    key = _key(train, test, options)
    kind, made = f"text-{options.name}", partial(_encoded, train, test, options)
    tensors = cached(kind, root, (key,), fresh=key.__eq__, make=lambda: (made(), key))
    text = Text(int(tensors["vocabulary"]), tensors["tokenizer"].numpy().tobytes().decode(), tensors.get("vectors"))
    return (tensors["train"].long(), tensors["test"].long()), text


def _encoded(train: Sequence[str], test: Sequence[str], options: TextOptions) -> dict[str, Tensor]:
    name, model = options.name, options.tokenizer
    if model in MODELS:
        print(f"{name}: a tokenizer ({model}) is trained on {len(train)} texts", file=sys.stderr)
        tokenizer = train_tokenizer(train, options.vocabulary, model, options.min_count, options.lowercase)
    else:
        tokenizer = read_tokenizer(Path(model))
    fit_length(tokenizer, options.length)
    rows = size(tokenizer)
    tensors = {name: encode(tokenizer, part).int() for name, part in (("train", train), ("test", test))}
    if options.vectors is not None:
        tensors["vectors"], count = read_vectors(Path(options.vectors), tokenizer)
        print(f"{name}: {count} of {rows} tokens have a vector in {options.vectors}", file=sys.stderr)
    tensors["vocabulary"] = torch.tensor(rows)
    tensors["tokenizer"] = torch.frombuffer(bytearray(tokenizer.to_str().encode()), dtype=torch.uint8)
    return tensors


def _key(train: Sequence[str], test: Sequence[str], options: TextOptions) -> str:
    """A hash of all that the ids depend on."""
    vectors = options.vectors and stamp(Path(options.vectors))
    lines = (VERSION, astuple(options)[:-1], sources(options.tokenizer), vectors, len(train), *train, *test)
    return digest(map(repr, lines))
