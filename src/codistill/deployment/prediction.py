"""Predict files: images, folders of images, texts in lines or in a column."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TextIO

import torch
from torch import Tensor

from codistill.checks import whole
from codistill.data.images.cut import SUFFIXES
from codistill.deployment.trained import Trained
from codistill.spec import UnknownName

SEEN = 4096  # bytes that tell texts from images
SEPARATORS = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True)
class Answer:
    """What a network says of one input.

    Attributes:
        file: that the input is from.
        line: of a text in its file, counted from 1 (in a table with the head); None: the file is the input.
        label: the name of the class; of several labels each those that are more likely than not.
        confidence: the probability of that decision; of several labels, of the least certain one.
        probabilities: of each class, by name.
        embedding: of a network of retrieval data, which has no classes.
    """

    file: str
    line: int | None = None
    label: str | tuple[str, ...] = ""
    confidence: float | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    embedding: tuple[float, ...] = ()


@dataclass(frozen=True)
class _Input:
    """An example that could be read, not yet normalised, ``[1, *shape]``."""

    file: str
    line: int | None
    x: Tensor


def predict(
    net: Trained,
    files: Iterable[str | Path],
    *,
    column: str = "text",
    batch: int = 64,
    unreadable: Callable[[str], object] | None = None,
) -> Iterator[Answer]:
    """What a network says of each input, in order.

    Args:
        net: of `codistill.load`.
        files: images, or folders of them (searched to the bottom, in order of names); where the network reads texts,
            ``.csv`` and ``.tsv`` tables with a head, and other files with one text to a line.
        column: of a table.
        batch: inputs at a time.
        unreadable: told of what cannot be read, in one line, and the rest is predicted; None: that is an error.

    Raises:
        FileNotFoundError: no such file.
        ValueError: an input that cannot be read, unless `unreadable` is given; a task without one answer to an input.
    """
    if net.task == "tokens":
        raise ValueError("task 'tokens' has an answer for every token: use the network in Python, codistill.load(...)")
    whole("batch", batch)
    inputs = _inputs(net, list(map(Path, files)), column, unreadable or _refuse)
    while group := list(islice(inputs, batch)):
        x = net.preprocess.normalised(torch.cat([one.x for one in group]))
        with torch.inference_mode():
            rows = (net(x) if net.embeds else net.probabilities(x)).tolist()
        yield from (_answer(net, one, row) for one, row in zip(group, rows, strict=True))


def _refuse(message: str) -> None:
    raise ValueError(message)


def _answer(net: Trained, one: _Input, row: list[float]) -> Answer:
    if net.embeds:
        return Answer(one.file, one.line, embedding=tuple(row))
    probabilities = dict(zip(net.classes, row, strict=True))
    if net.task == "multilabel":
        likely = tuple(name for name, p in probabilities.items() if p > 0.5)
        return Answer(one.file, one.line, likely, min(max(p, 1 - p) for p in row), probabilities)
    best = max(range(len(row)), key=row.__getitem__)
    return Answer(one.file, one.line, net.classes[best], row[best], probabilities)


# Reading ------------------------------------------------------------------------------------------------------------


def _inputs(net: Trained, files: Sequence[Path], column: str, unreadable: Callable[[str], object]) -> Iterator[_Input]:
    images = net.preprocess.about.images
    for path in _each_file(files, unreadable) if images else files:
        if not path.exists():
            texts = "" if images else " (texts come in files: .txt, one to a line, or a table with a column of them)"
            unreadable(f"{path}: no such file{texts}")
            continue
        try:
            _check_kind(path, images)
            if images:
                yield _Input(str(path), None, net.preprocess.raw(path))
            else:
                yield from (_Input(str(path), n, net.preprocess.raw(text)) for n, text in _texts(path, column))
        except (ValueError, OSError, csv.Error) as error:
            said = str(error).partition(", or set skip_bad")[0]
            unreadable(said if str(path) in said else f"{path}: {said}")


def _check_kind(path: Path, images: bool) -> None:
    """A ValueError for a file of texts where images are wanted, and the other way round."""
    if path.is_dir() or (path.suffix.lower() in SUFFIXES and images):
        return
    with path.open("rb") as file:
        begin = file.read(SEEN)
    if images and _is_text(begin):
        raise ValueError(f"{path} is a file of text, and these networks see images: give images, or a run on texts")
    if not images and not _is_text(begin):
        what = "an image" if path.suffix.lower() in SUFFIXES else "no text in UTF-8"
        raise ValueError(f"{path} is {what}, and these networks read texts: give files of texts")


def _is_text(begin: bytes) -> bool:
    """Whether a file that begins so is text: UTF-8 without a zero byte; its last character may be cut."""
    try:
        begin.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.end == len(begin) == SEEN and b"\0" not in begin
    return b"\0" not in begin


def _each_file(files: Iterable[Path], unreadable: Callable[[str], object]) -> Iterator[Path]:
    """The files, those of a folder in order of their names; files in it that are no images are passed over."""
    for path in files:
        if not path.is_dir():
            yield path
            continue
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
        if not inside:
            unreadable(f"{path}: no images in this folder ({', '.join(sorted(SUFFIXES))})")
        yield from inside


def _texts(path: Path, column: str) -> Iterator[tuple[int, str]]:
    """The texts of a file and the line where each ends."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder, and these networks read texts: give files")
    separator = SEPARATORS.get(path.suffix.lower())
    with path.open(encoding="utf-8-sig", newline="" if separator else None) as file:
        if separator is None:
            yield from ((n, line.rstrip("\n")) for n, line in enumerate(file, 1) if line.strip())
            return
        rows = csv.DictReader(file, delimiter=separator, strict=True)
        if column not in (rows.fieldnames or ()):
            raise UnknownName(f"column of {path}", column, rows.fieldnames or ["(none: it is empty)"])
        for row in rows:
            yield rows.line_num, row[column] or ""


# Writing ------------------------------------------------------------------------------------------------------------


def write_csv(answers: Iterable[Answer], file: TextIO, *, every: bool = False) -> None:
    """As CSV with a head, a line as soon as there is one; several labels of one input are joined by ``;``.

    Args:
        answers: of one network.
        file: that is open.
        every: the probabilities of all classes too, a column ``p(name)`` for each.
    """
    table = csv.writer(file, lineterminator="\n")
    for number, answer in enumerate(answers):
        values = _flat(answer, every)
        if not number:
            table.writerow(values)
        table.writerow(values.values())


def _flat(answer: Answer, every: bool) -> dict[str, object]:
    where = {"file": answer.file, **({} if answer.line is None else {"line": answer.line})}
    if answer.embedding:
        return where | {f"embedding{i}": value for i, value in enumerate(answer.embedding)}
    label = answer.label if isinstance(answer.label, str) else ";".join(answer.label)
    probabilities = {f"p({name})": f"{p:.6g}" for name, p in answer.probabilities.items()} if every else {}
    return {**where, "class": label, "confidence": f"{answer.confidence:.6g}", **probabilities}


def write_json(answers: Iterable[Answer], file: TextIO, *, every: bool = False) -> None:
    """As `write_csv`, an object of JSON to a line."""
    for answer in answers:
        values: dict[str, object] = {"file": answer.file}
        if answer.line is not None:
            values["line"] = answer.line
        if answer.embedding:
            values["embedding"] = answer.embedding
        else:
            values |= {"class": answer.label, "confidence": answer.confidence}
            values |= {"probabilities": answer.probabilities} if every else {}
        file.write(json.dumps(values, ensure_ascii=False) + "\n")
