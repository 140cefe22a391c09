"""Any data set of the Hugging Face hub, or of a folder in one of its forms, by the `datasets` library."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codistill.data.examples import DataSet, Examples, channel_statistics
from codistill.data.frame import Frame
from codistill.data.hub import library, parts_of
from codistill.data.rows import order
from codistill.data.text import TextForm, Texts, hold_out, text_data
from codistill.names import UnknownName

__all__ = ["hf"]

TESTS = ("test", "validation")  # the first that is there is taken
FIFTH = 0.2  # to test on, where there is none
LABELS = ("label", "labels")  # what a column of labels is called most often


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
    is brought into memory; pictures as bytes, their mean and deviation those of the training part. Nothing that is
    read can run code.

    Args:
        name: On the hub, such as ``stanfordnlp/imdb``; or a folder, by its path or below ``root``.
        root: A folder.
        download: Fetch what is not on this machine.
        text: The column of texts; None: the only one of strings.
        image: The column of pictures; None: the only one, if there is any.
        label: The column of labels; None: the one called label or labels, else the only one of classes.
        config: Which of a data set's configurations.
        train: The part to learn from.
        test: The part to test on, or the fraction to hold out. None: test or validation, else a fifth.
        size: Height and width that pictures are brought to, by their short side, and cropped at the centre. None:
            they are of one size.
        grey: One channel. None: as the first picture has it.
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
        ValueError: an option out of range; a part, column or label that is not there; names it.
        ImportError: `datasets` is not installed.
    """
    form = TextForm("hf", vocabulary, length, tokenizer, vectors, lowercase, min_count, outputs)
    frame = Frame("hf", size, grey)
    parts = parts_of(str(name), root, config, download)
    learned = Part(train, _part(parts, train, str(name)))
    columns = Columns.choose(str(name), learned.rows.features, text, image, label)
    names = columns.names(learned)
    y = columns.labels(learned, names)
    tested = next((part for part in TESTS if part in parts and part != train), FIFTH) if test is None else test
    if isinstance(tested, str):
        held = Part(tested, _part(parts, tested, str(name)))
        pairs = [(learned, y), (held, columns.labels(held, names))]
    else:
        drawn = hold_out(y, names, tested, "hf")
        pairs = [(Part(train, learned.rows.select(rows)), [y[row] for row in rows]) for rows in drawn]
    if columns.pictures:
        seen, tests = (Examples(_pictures(part, columns.x, frame), torch.tensor(y)) for part, y in pairs)
        return DataSet(seen, tests, len(names), "classes", *channel_statistics(seen.x), names)
    texts = [Texts(columns.texts(part), y) for part, y in pairs]
    return text_data(texts[0], texts[1], names, form, root)


@dataclass(frozen=True)
class Part:
    """A part of a data set: a `datasets.Dataset`, and what it is called."""

    name: str
    rows: Any


@dataclass(frozen=True)
class Columns:
    """Which column is what."""

    x: str
    y: str
    pictures: bool

    @classmethod
    def choose(
        cls, name: str, features: Mapping[str, Any], text: str | None, image: str | None, label: str | None
    ) -> "Columns":
        """The columns that are named, or that leave no doubt.

        Raises:
            UnknownName: a column that is not there, with the nearest that is.
            ValueError: more than one could be meant, or none.
        """
        lib = library()
        for column in filter(None, (text, image, label)):
            if column not in features:
                raise UnknownName(f"column of {name}", column, features)
        if text and image:
            raise ValueError(f"hf: text={text} and image={image}: name one of them")
        kinds = {column: type(feature) for column, feature in features.items()}
        strings = [c for c, f in features.items() if getattr(f, "dtype", "") in ("string", "large_string")]
        labels = [c for c in LABELS if c in features] or [c for c, kind in kinds.items() if kind is lib.ClassLabel]
        y = label or _only(name, "label", labels[:1] if labels and labels[0] in LABELS else labels, features)
        images = [c for c, kind in kinds.items() if kind is lib.Image]
        pictures = bool(image or (images and not text))
        x = (
            image
            or text
            or _only(name, "image" if pictures else "text", images or [c for c in strings if c != y], features)
        )
        if x == y:
            raise ValueError(f"hf: label={y} is the column of {'pictures' if pictures else 'texts'} too: name another")
        if pictures and kinds[x] is not lib.Image:
            raise ValueError(f"hf: image={x} is {features[x]}, no pictures: name one of {', '.join(images) or 'none'}")
        return cls(x, y, pictures)

    def names(self, part: Part) -> tuple[str, ...]:
        """Names of the classes: those that the data set gives, else the labels that there are."""
        feature = part.rows.features[self.y]
        if isinstance(feature, library().ClassLabel):
            return tuple(feature.names)
        found = {_shown(label) for label in part.rows[self.y]} - {None}
        if len(found) < 2:
            raise ValueError(f"hf: column {self.y!r} of part {part.name!r} holds {found}: give two classes or more")
        return tuple(sorted(map(str, found), key=order))

    def labels(self, part: Part, names: Sequence[str]) -> list[int]:
        """Labels by their place among the names.

        Raises:
            ValueError: one is missing, or none of the names; gives the row.
        """
        if isinstance(part.rows.features[self.y], library().ClassLabel):
            found = [-1 if label is None else int(label) for label in part.rows[self.y]]
        else:
            place = {name: number for number, name in enumerate(names)}
            found = [place.get(str(_shown(label)), -1) for label in part.rows[self.y]]
        if found and max(found) < 0:
            raise ValueError(f"hf: part {part.name!r} has no labels to test on: name another (test=validation)")
        if (row := next((row for row, y in enumerate(found) if not 0 <= y < len(names)), None)) is not None:
            said = part.rows[row][self.y]
            raise ValueError(
                f"hf: row {row} of part {part.name!r}: {self.y}={said!r} is none of {', '.join(names[:5])}: "
                "repair it, or name another part or column"
            )
        return found

    def texts(self, part: Part) -> list[str]:
        """The texts of a part; a ValueError that gives the row where one is none."""
        found: list[str] = list(part.rows[self.x])
        for row, text in enumerate(found):
            if not isinstance(text, str):
                raise ValueError(f"hf: row {row} of part {part.name!r}: {self.x}={text!r} is no text: repair it")
        return found


def _pictures(part: Part, column: str, frame: Frame) -> Tensor:
    """The pictures of a part, ``[N, C, H, W]`` uint8; a ValueError gives the row of one that cannot be read."""
    found = []
    for row in range(len(part.rows)):
        where = f"hf: row {row} of part {part.name!r}"
        try:
            image = part.rows[row][column]
        except Exception as error:  # whatever a damaged picture ends in
            raise ValueError(f"{where}: cannot be read ({error}): repair it") from error
        if image is None:
            raise ValueError(f"{where}: holds no picture: repair it")
        found.append(frame.take(image, where))
    return torch.stack(found)


def _part(parts: Mapping[str, Any], name: str, data: str) -> Any:
    if name not in parts:
        raise UnknownName(f"part of {data}", name, parts)
    return parts[name]


def _only(name: str, setting: str, found: Sequence[str], features: Mapping[str, Any]) -> str:
    if len(found) != 1:
        which = f"any of {', '.join(found)}" if found else "none that is sure"
        raise ValueError(f"hf: {name} has columns {', '.join(features)}, {which}: name one with {setting}=COLUMN")
    return found[0]


def _shown(label: object) -> str | None:
    """A label as text; 1.0 and 1 are one label."""
    if label is None or isinstance(label, list | dict):
        return None
    return str(int(label) if isinstance(label, float) and label.is_integer() else label)
