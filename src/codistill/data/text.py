"""Texts and labels to a data set of token ids, kept on disk so that a second start is fast."""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from codistill.checks import flag, whole
from codistill.data.examples import DataSet, Examples, Text
from codistill.data.kept import kept, stamp
from codistill.data.split import held_out
from codistill.data.tokenizer import MODELS, encode, fit_length, library, read_tokenizer, size, train_tokenizer
from codistill.data.vectors import read_vectors

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VERSION = "1"  # of how ids are made: raise it where that changes


@dataclass(frozen=True)
class TextForm:
    """How a data set's texts become token ids; `codistill.data.nsmc` says what each is.

    Raises:
        ValueError: on construction, for an option out of range.
    """

    name: str  # of the data set
    vocabulary: int
    length: int
    tokenizer: str
    vectors: str | None
    lowercase: bool
    min_count: int
    outputs: int | None

    def __post_init__(self) -> None:
        for setting, least in (("vocabulary", 8), ("length", 1), ("min_count", 1)):
            whole(f"{self.name}: {setting}", getattr(self, setting), least)
        flag(f"{self.name}: lowercase", self.lowercase)
        for setting, form in (("tokenizer", f"{', '.join(MODELS)} or a path"), ("vectors", "the path of a file")):
            value = getattr(self, setting)
            if not isinstance(value, str) and not (value is None and setting == "vectors"):
                raise ValueError(f"{self.name}: {setting}={value!r}: give {form}")

    def made_of(self) -> tuple[object, ...]:
        """All that the ids depend on besides the texts and files."""
        return astuple(self)[:-1]

    def task(self, classes: int) -> tuple[int, str]:
        """Number of outputs and task for so many classes."""
        outputs = classes if self.outputs is None else self.outputs
        if outputs != classes and (outputs, classes) != (1, 2):
            fit = "2, or 1 (one logit for each text)" if classes == 2 else str(classes)
            raise ValueError(f"{self.name}: outputs={outputs!r} for {classes} classes: give {fit}")
        return (1, "binary") if outputs == 1 else (classes, "classes")


@dataclass(frozen=True)
class Texts:
    """Texts with their labels, -1 where a text has none."""

    texts: Sequence[str]
    labels: Sequence[int]


def text_data(train: Texts, test: Texts, names: tuple[str, ...], form: TextForm, root: Path) -> DataSet:
    """The data set of texts with labels; see `token_ids`."""
    classes, task = form.task(len(names))
    xs, text = token_ids(train.texts, test.texts, form, root)
    ys = [torch.tensor(part.labels, dtype=torch.int64) for part in (train, test)]
    return DataSet(Examples(xs[0], ys[0]), Examples(xs[1], ys[1]), classes, task, (), (), names, text)


def token_ids(
    train: Sequence[str], test: Sequence[str], form: TextForm, root: Path
) -> tuple[tuple[Tensor, Tensor], Text]:
    """Ids ``[N, length]`` of both parts: by a tokenizer from the first, or by the one that `form` names.

    The ids are kept on disk (`codistill.data.kept`) with a hash of the texts and of every setting that made them, and
    read from there the next time.

    Raises:
        ValueError: an option out of range, or a file that is not what it should be.
        FileNotFoundError: a tokenizer or vectors that are not there.
        ImportError: the `tokenizers` library is not installed.
    """
    key = _key(train, test, form)
    have = kept(
        f"text-{form.name}", root, (key,), fresh=lambda note: note == key, make=lambda: (_made(train, test, form), key)
    )
    text = Text(int(have["vocabulary"]), have["tokenizer"].numpy().tobytes().decode(), have.get("vectors"))
    return (have["train"].long(), have["test"].long()), text


def hold_out(y: Sequence[int], names: Sequence[str], fraction: object, name: str) -> tuple[list[int], list[int]]:
    """Which examples are learned from and which tested on, where there is no test part; the same for everybody.

    Raises:
        ValueError: no fraction, or one that leaves a class without an example to learn from.
    """
    if not isinstance(fraction, float) or not 0 < fraction < 1:
        raise ValueError(f"{name}: test={fraction!r}: give a fraction between 0 and 1, such as 0.2")
    labels = torch.tensor(y, dtype=torch.int64)
    size = max(round(fraction * len(labels)), len(names))
    if size > len(labels):
        raise ValueError(f"{name}: {len(labels)} examples of {len(names)} classes: add some")
    train, test = held_out(labels, size, name)
    if lacking := set(y) - set(labels[train].tolist()):
        raise ValueError(
            f"{name}: test={fraction} leaves no example of class {names[min(lacking)]!r} to learn from: "
            "add some, or lower it"
        )
    return train.tolist(), test.tolist()


def _made(train: Sequence[str], test: Sequence[str], form: TextForm) -> dict[str, Tensor]:
    tokenizer = _tokenizer(train, form)
    fit_length(tokenizer, form.length)
    made = {name: encode(tokenizer, part).int() for name, part in (("train", train), ("test", test))}
    if form.vectors is not None:
        made["vectors"], found = read_vectors(Path(form.vectors), tokenizer)
        _say(f"{form.name}: {found} of {size(tokenizer)} tokens have a vector in {form.vectors}")
    made["vocabulary"] = torch.tensor(size(tokenizer))
    made["tokenizer"] = torch.frombuffer(bytearray(tokenizer.to_str().encode()), dtype=torch.uint8)
    return made


def _tokenizer(texts: Sequence[str], form: TextForm) -> "Tokenizer":
    if form.tokenizer not in MODELS:
        return read_tokenizer(Path(form.tokenizer))
    _say(f"{form.name}: a tokenizer ({form.tokenizer}) is trained on {len(texts)} texts")
    return train_tokenizer(
        texts,
        vocabulary=form.vocabulary,
        model=form.tokenizer,
        min_count=form.min_count,
        lowercase=form.lowercase,
    )


def _key(train: Sequence[str], test: Sequence[str], form: TextForm) -> str:
    """A hash of all that the ids depend on."""
    whole = hashlib.sha256(f"{VERSION} {library().__version__} {form.made_of()}".encode())
    for part in (train, test):
        whole.update(",".join(str(len(text)) for text in part).encode())
        whole.update("".join(part).encode(errors="surrogatepass"))
    for path in _files(form):
        whole.update(path.read_bytes() if path.suffix == ".json" else stamp(path).encode())
    return whole.hexdigest()


def _files(form: TextForm) -> Iterator[Path]:
    """The files that a form names, with all that is read of a tokenizer's folder."""
    if form.tokenizer not in MODELS:
        path = Path(form.tokenizer)
        file = path / "tokenizer.json" if path.is_dir() else path
        yield from (found for found in (file, file.with_name("tokenizer_config.json")) if found.is_file())
    if form.vectors is not None:
        if not Path(form.vectors).is_file():
            raise FileNotFoundError(f"{form.name}: vectors={form.vectors}: no such file: name one of word vectors")
        yield Path(form.vectors)


def _say(line: str) -> None:
    """For the person who waits: on stderr, so that what is printed as a result stays whole."""
    print(line, file=sys.stderr)
