"""Which columns of a Hugging Face data set are inputs and labels, and which of its rows can be used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codistill.data.skipping import left_out, shortened
from codistill.data.text.rows import label_text, sort_key
from codistill.libraries import needed
from codistill.spec import UnknownName

LABELS = ("label", "labels")  # the usual names of a column of labels


@dataclass(frozen=True)
class Split:
    """A split of a data set: a `datasets.Dataset`, its name, and the configuration of the data set."""

    name: str
    rows: Any
    config: str | None = None

    def usable(self, faults: Mapping[int, str], skip_bad: bool) -> list[int]:
        """The rows without a fault.

        Args:
            faults: What is wrong with a row, by its number.
            skip_bad: Leave those out, with a warning that counts them, in place of an error.

        Raises:
            ValueError: a row has a fault; names the first. Or all have one.
        """
        texts = [f"row {row}: {faults[row]}" for row in sorted(faults)]
        fix = "repair it, or name another split or column"
        left_out(f"hf: split {self.name!r}", "rows", len(self.rows), texts, skip_bad=skip_bad, fix=fix)
        return [row for row in range(len(self.rows)) if row not in faults]


@dataclass(frozen=True)
class Columns:
    """Which column is what."""

    x: str
    y: str
    images: bool

    @classmethod
    def choose(
        cls, name: str, features: Mapping[str, Any], text: str | None, image: str | None, label: str | None
    ) -> "Columns":
        """The columns that are named, or that leave no doubt.

        Raises:
            UnknownName: a column that does not exist, with the nearest that does.
            ValueError: more than one could be meant, or none.
        """
        datasets = needed("datasets", "text", "hf")
        for column in filter(None, (text, image, label)):
            if column not in features:
                raise UnknownName(f"column of {name}", column, features)
        if text and image:
            raise ValueError(f"hf: text={text} and image={image}: name one of them")
        usual = [c for c in LABELS if c in features][:1]
        y = label or _only(name, "label", usual or _of_type(features, datasets.ClassLabel), features)
        strings = [c for c, f in features.items() if getattr(f, "dtype", "") in ("string", "large_string") and c != y]
        pictures = _of_type(features, datasets.Image)
        images = bool(image or (pictures and not text))
        kind = "image" if images else "text"
        x = image or text or _only(name, kind, pictures or strings, features)
        if x == y:
            raise ValueError(f"hf: label={y} is the column of {kind}s too: name another")
        if images and x not in pictures:
            raise ValueError(f"hf: image={x} is {features[x]}, not images: name one of {', '.join(pictures) or 'none'}")
        return cls(x, y, images)

    def labels(self, split: Split) -> tuple[list[str | None], dict[int, str]]:
        """What each row says of its class, None where it is unlabelled; and the faults of rows."""
        names = self._class_names(split)
        labels: list[str | None] = []
        faults = {}
        for row, value in enumerate(split.rows[self.y][:]):
            unlabelled = value is None or (isinstance(value, int | float) and (value == -1 or value != value))
            labels.append(None if unlabelled else _class_of(value, names))
            if labels[-1] is None and not unlabelled:
                faults[row] = f"{self.y}={value!r} is {f'none of {shortened(names)}' if names else 'no class'}"
        return labels, faults

    def test_labels(self, split: Split, names: Sequence[str]) -> tuple[list[str | None], dict[int, str]]:
        """As `labels`, of a test split, where every row needs a label that is one of the names.

        Raises:
            ValueError: no row has a label.
        """
        labels, faults = self.labels(split)
        if labels and len(faults) < len(labels) and not any(labels):
            raise ValueError(f"hf: split {split.name!r} has no labels to test on: name another (test=validation)")
        for row, label in enumerate(labels):
            if label is None:
                faults.setdefault(row, f"{self.y} is -1 or missing, no label to test on")
            elif label not in names:
                faults[row] = f"{self.y}={label} is none of {shortened(names)}"
        return labels, faults

    def names(self, split: Split, labels: Sequence[str | None]) -> tuple[str, ...]:
        """Names of the classes: those that the data set gives, else the labels that occur.

        Raises:
            ValueError: no row is labelled, or all alike.
        """
        names = self._class_names(split)
        known = {label for label in labels if label is not None}
        if len(known) < (2 if names is None else 1):
            where = f"column {self.y!r} of split {split.name!r}"
            content = f"the label {min(known)} only" if known else "no labels"
            ways = "give two classes or more, or name another column or split"
            raise ValueError(f"hf: {where} holds {content} (-1 and missing are unlabelled): {ways}")
        return tuple(sorted(known, key=sort_key) if names is None else names)

    def _class_names(self, split: Split) -> list[str] | None:
        """The names that the data set gives to its classes, if it does."""
        return getattr(split.rows.features[self.y], "names", None)

    def texts(self, split: Split) -> tuple[list[object], dict[int, str]]:
        """The values of a split, and the faults of the rows that hold no text."""
        values: list[object] = split.rows[self.x][:]
        faults = {row: f"{self.x}={text!r} is no text" for row, text in enumerate(values) if not isinstance(text, str)}
        return values, faults


def _of_type(features: Mapping[str, Any], kind: type) -> list[str]:
    return [column for column, feature in features.items() if type(feature) is kind]


def _only(name: str, setting: str, columns: Sequence[str], features: Mapping[str, Any]) -> str:
    """The only column that can be meant; a ValueError that asks for its name where it is not the only one."""
    if len(columns) != 1:
        which = f"any of {', '.join(columns)}" if columns else "none of them certain"
        raise ValueError(f"hf: {name} has columns {', '.join(features)}, {which}: name one with {setting}=COLUMN")
    return columns[0]


def _class_of(value: object, names: Sequence[str] | None) -> str | None:
    """A label as text, by its number where the classes have names; 1.0 and 1 are one label; None: it is no label."""
    if isinstance(value, list | dict):
        return None
    if names is not None:
        return names[value] if isinstance(value, int) and 0 <= value < len(names) else None
    return label_text(value)
