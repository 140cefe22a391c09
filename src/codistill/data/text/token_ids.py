"""Texts and labels to a data set of token ids, cached on disk so that a second start is fast."""

import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from codistill.checks import flag, whole
from codistill.data.disk_cache import cached, stamp
from codistill.data.examples import DataSet, Examples, Text
from codistill.data.text.tokenizer import MODELS, encode, fit_length, library, read_tokenizer, size, train_tokenizer
from codistill.data.text.vectors import read_vectors

if TYPE_CHECKING:
    from tokenizers import Tokenizer

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

    def ids_depend_on(self) -> tuple[object, ...]:
        """All options that change the ids."""
        return astuple(self)[:-1]

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
    tensors = cached(
        f"text-{options.name}", root, (key,), fresh=key.__eq__, make=lambda: (_encoded(train, test, options), key)
    )
    text = Text(int(tensors["vocabulary"]), tensors["tokenizer"].numpy().tobytes().decode(), tensors.get("vectors"))
    return (tensors["train"].long(), tensors["test"].long()), text


def _encoded(train: Sequence[str], test: Sequence[str], options: TextOptions) -> dict[str, Tensor]:
    tokenizer = _tokenizer(train, options)
    fit_length(tokenizer, options.length)
    tensors = {name: encode(tokenizer, part).int() for name, part in (("train", train), ("test", test))}
    if options.vectors is not None:
        tensors["vectors"], count = read_vectors(Path(options.vectors), tokenizer)
        _say(f"{options.name}: {count} of {size(tokenizer)} tokens have a vector in {options.vectors}")
    tensors["vocabulary"] = torch.tensor(size(tokenizer))
    tensors["tokenizer"] = torch.frombuffer(bytearray(tokenizer.to_str().encode()), dtype=torch.uint8)
    return tensors


def _tokenizer(texts: Sequence[str], options: TextOptions) -> "Tokenizer":
    if options.tokenizer not in MODELS:
        return read_tokenizer(Path(options.tokenizer))
    _say(f"{options.name}: a tokenizer ({options.tokenizer}) is trained on {len(texts)} texts")
    return train_tokenizer(
        texts,
        vocabulary=options.vocabulary,
        model=options.tokenizer,
        min_count=options.min_count,
        lowercase=options.lowercase,
    )


def _key(train: Sequence[str], test: Sequence[str], options: TextOptions) -> str:
    """A hash of all that the ids depend on."""
    summary = hashlib.sha256(f"{VERSION} {library().__version__} {options.ids_depend_on()}".encode())
    for part in (train, test):
        summary.update(",".join(str(len(text)) for text in part).encode())
        summary.update("".join(part).encode(errors="surrogatepass"))
    for path in _files(options):
        summary.update(path.read_bytes() if path.suffix == ".json" else stamp(path).encode())
    return summary.hexdigest()


def _files(options: TextOptions) -> Iterator[Path]:
    """The files that the options name, and everything read from a tokenizer's folder."""
    if options.tokenizer not in MODELS:
        path = Path(options.tokenizer)
        file = path / "tokenizer.json" if path.is_dir() else path
        yield from (f for f in (file, file.with_name("tokenizer_config.json")) if f.is_file())
    if options.vectors is not None:
        if not Path(options.vectors).is_file():
            raise FileNotFoundError(
                f"{options.name}: vectors={options.vectors}: no such file: name one of word vectors"
            )
        yield Path(options.vectors)


def _say(line: str) -> None:
    """For the person who waits: on stderr, so that printed results stay clean."""
    print(line, file=sys.stderr)
