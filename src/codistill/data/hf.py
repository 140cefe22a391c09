"""Any data set of the Hugging Face hub, or of a folder in one of its forms, by the `datasets` library."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from codistill.checks import flag
from codistill.data.examples import DataSet, Examples, channel_statistics
from codistill.data.frame import Frame
from codistill.data.hf_columns import Columns, Part
from codistill.data.hf_pictures import Source, pictures
from codistill.data.hub import folder_of, parts_of
from codistill.data.text import TextForm, Texts, hold_out, text_data
from codistill.spec import UnknownName

__all__ = ["hf"]

TESTS = ("test", "validation")  # the first that is there is taken
FIFTH = 0.2  # to test on, where there is none


def hf(
    name: str,
    root: Path,
    *,
    download: bool = False,
    text: str | None = None,
    image: str | None = None,
    label: str | None = None,
    config: str | None = None,
    train: str = "train",
    test: str | float | None = None,
    size: int | None = None,
    grey: bool | None = None,
    skip_bad: bool = False,
    vocabulary: int = 15_000,
    length: int = 128,
    tokenizer: str = "bpe",
    vectors: str | None = None,
    lowercase: bool = True,
    min_count: int = 2,
    outputs: int | None = None,
) -> DataSet:
    """Any Hugging Face data set of texts or pictures: hf:NAME, on the hub or in a folder.

    A folder is one that ``save_to_disk`` made, or one of files that ``load_dataset`` reads (Parquet, CSV). All of it
    is brought into memory; pictures as bytes, their mean and deviation those of the training part. From 1,000
    pictures on, what has been decoded is kept for the next start (`codistill.data.kept`), until the data or an option
    changes. A label that is -1 or missing is none: such a row is learned from without it. Nothing that is read can
    run code.

    Args:
        name: On the hub, such as ``stanfordnlp/imdb``; or a folder, by its path or below ``root``.
        root: A folder.
        download: Fetch what is not on this machine.
        text: The column of texts; None: the only one of strings.
        image: The column of pictures; None: the only one, if there is any.
        label: The column of labels; None: the one called label or labels, else the only one of classes.
        config: Which of a data set's configurations.
        train: The part to learn from.
        test: The part to test on, or the fraction of the labelled rows to hold out. None: test or validation, else
            a fifth.
        size: Height and width that pictures are brought to, by their short side, and cropped at the centre. None:
            they are of one size.
        grey: One channel. None: as the first picture has it.
        skip_bad: Leave out rows without a text or with a picture that cannot be read, rows with a label that is none
            of the classes, and rows to test on without a label; with a warning that counts them, in place of an error.
        vocabulary: As in `codistill.data.nsmc`, and so what follows.
        length: Tokens of each text; what is longer is cut.
        tokenizer: bpe, wordpiece, words, or a path.
        vectors: Path of word vectors.
        lowercase: Capitals are read as small letters.
        min_count: How often a word or a pair of pieces is seen at least.
        outputs: Logits for each text: as many as classes; of two classes, 1 makes the task binary.

    Raises:
        FileNotFoundError: it is not on this machine and ``download`` is off.
        OSError: the hub cannot be reached.
        ValueError: an option out of range; a part, column or label that is not there, or a row that cannot be used;
            names it.
        ImportError: `datasets` is not installed.
    """
    form = TextForm("hf", vocabulary, length, tokenizer, vectors, lowercase, min_count, outputs)
    frame = Frame("hf", size, grey)
    flag("hf: skip_bad", skip_bad)
    parts = parts_of(str(name), root, config, download)
    learned = Part(train, _part(parts, train, str(name)))
    columns = Columns.choose(str(name), learned.rows.features, text, image, label)
    reader = Reader(columns, frame, skip_bad, Source(folder_of(str(name), root) or root / str(name), config))
    x, labels = reader.read(learned)
    names = columns.names(learned, labels)
    y = _placed(labels, names)
    tested = next((part for part in TESTS if part in parts and part != train), FIFTH) if test is None else test
    if isinstance(tested, str):
        held, wanted = reader.read(Part(tested, _part(parts, tested, str(name))), names)
        pairs = [(x, y), (held, _placed(wanted, names))]
    else:
        pairs = [(_taken(x, rows), [y[row] for row in rows]) for rows in _divided(y, names, tested)]
    if columns.pictures:
        seen, tests = (Examples(x, torch.tensor(y)) for x, y in pairs)
        return DataSet(seen, tests, len(names), "classes", *channel_statistics(seen.x), names)
    texts = [Texts(x, y) for x, y in pairs]
    return text_data(texts[0], texts[1], names, form, root)


@dataclass(frozen=True)
class Reader:
    """How the parts of a data set are read; a part's rows are counted as they are there, from 0."""

    columns: Columns
    frame: Frame
    skip_bad: bool
    source: Source

    def read(self, part: Part, names: Sequence[str] | None = None) -> tuple[Any, list[str | None]]:
        """The inputs of the rows that can be used, pictures or texts; and what each says of its class.

        Args:
            part: To learn from, or to test on.
            names: The classes, where it is to test on.
        """
        columns = self.columns
        labels, faults = columns.labels(part) if names is None else columns.tested(part, names)
        if not self.skip_bad:
            part.usable(faults, False)  # which is known before a picture is read
        x, unread = self._inputs(part)
        rows = part.usable(unread | faults, self.skip_bad)
        there = [row for row in range(len(part.rows)) if row not in unread]
        place = {row: number for number, row in enumerate(there)}
        return (x if rows == there else _taken(x, [place[row] for row in rows])), [labels[row] for row in rows]

    def _inputs(self, part: Part) -> tuple[Any, dict[int, str]]:
        """Pictures or texts of a part, and what is wrong with the rows that are not among them."""
        if self.columns.pictures:
            return pictures(part, self.columns.x, self.frame, self.skip_bad, self.source)
        return self.columns.texts(part)


def _divided(y: Sequence[int], names: Sequence[str], fraction: object) -> tuple[list[int], list[int]]:
    """Which rows are learned from and which tested on; those without a label are all learned from."""
    labelled = [row for row, label in enumerate(y) if label >= 0]
    train, test = hold_out([y[row] for row in labelled], names, fraction, "hf")
    unlabelled = [row for row, label in enumerate(y) if label < 0]
    return sorted(unlabelled + [labelled[i] for i in train]), [labelled[i] for i in test]


def _taken(x: Any, rows: Sequence[int]) -> Any:
    """Those pictures or texts, in that order."""
    return x[torch.tensor(rows)] if isinstance(x, torch.Tensor) else [x[row] for row in rows]


def _placed(labels: Sequence[str | None], names: Sequence[str]) -> list[int]:
    """Labels by their place among the names, -1 where there is none."""
    place = {name: number for number, name in enumerate(names)}
    return [-1 if label is None else place[label] for label in labels]


def _part(parts: Mapping[str, Any], name: str, data: str) -> Any:
    """A part by its name; an UnknownName with the nearest where there is none."""
    if name not in parts:
        raise UnknownName(f"part of {data}", name, parts)
    return parts[name]
