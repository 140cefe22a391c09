"""Which columns of a Hugging Face data set are inputs and labels, and which of its rows can be used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codistill.data.class_folders import left_out
from codistill.data.hub import library
from codistill.data.rows import order
from codistill.spec import UnknownName

LABELS = ("label", "labels")  # what a column of labels is called most often


@dataclass(frozen=True)
class Part:
    """A part of a data set: a `datasets.Dataset`, and what it is called."""

    name: str
    rows: Any

    def usable(self, faults: Mapping[int, str], skip_bad: bool) -> list[int]:
        """The rows that nothing is wrong with.

        Args:
            faults: What is wrong with a row, by its number.
            skip_bad: Leave those out, with a warning that counts them, in place of an error.

        Raises:
            ValueError: something is wrong with a row; names the first. Or there is none to use.
        """
        if faults and not skip_bad:
            row = min(faults)
            raise ValueError(
                f"hf: row {row} of part {self.name!r}: {faults[row]}: repair it, name another part or column, "
                "or set skip_bad=true"
            )
        if faults:
            some = [f"row {row} ({faults[row]})" for row in sorted(faults)]
            left_out("hf", f"of {len(self.rows)} rows of part {self.name!r} cannot be used", some)
        if len(faults) == len(self.rows):
            raise ValueError(f"hf: part {self.name!r} has no row that can be used: add some, or name another part")
        return [row for row in range(len(self.rows)) if row not in faults]


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

    def labels(self, part: Part) -> tuple[list[str | None], dict[int, str]]:
        """What each row says of its class, None where it is unlabelled; and what is wrong with a row."""
        feature = part.rows.features[self.y]
        names = feature.names if isinstance(feature, library().ClassLabel) else None
        found: list[str | None] = []
        faults = {}
        for row, label in enumerate(part.rows[self.y][:]):
            found.append(None if _unlabelled(label) else _shown(label, names))
            if found[-1] is None and not _unlabelled(label):
                faults[row] = f"{self.y}={label!r} is {f'none of {_some(names)}' if names else 'no class'}"
        return found, faults

    def tested(self, part: Part, names: Sequence[str]) -> tuple[list[str | None], dict[int, str]]:
        """As `labels`, of a part to test on, where every row needs a label that is one of the names.

        Raises:
            ValueError: no row has a label.
        """
        found, faults = self.labels(part)
        if found and len(faults) < len(found) and not any(found):
            raise ValueError(f"hf: part {part.name!r} has no labels to test on: name another (test=validation)")
        for row, label in enumerate(found):
            if label is None:
                faults.setdefault(row, f"{self.y} is -1 or missing, no label to test on")
            elif label not in names:
                faults[row] = f"{self.y}={label} is none of {_some(names)}"
        return found, faults

    def names(self, part: Part, found: Sequence[str | None]) -> tuple[str, ...]:
        """Names of the classes: those that the data set gives, else the labels that there are.

        Raises:
            ValueError: none is labelled, or all alike.
        """
        feature = part.rows.features[self.y]
        labels = {label for label in found if label is not None}
        given = isinstance(feature, library().ClassLabel)
        if len(labels) < (1 if given else 2):
            holds = f"the label {min(labels)} only" if labels else "no labels"
            raise ValueError(
                f"hf: column {self.y!r} of part {part.name!r} holds {holds} (-1 and missing are unlabelled): "
                "give two classes or more, or name another column or part"
            )
        return tuple(feature.names) if given else tuple(sorted(labels, key=order))

    def texts(self, part: Part) -> tuple[list[str], dict[int, str]]:
        """The texts of a part, and what is wrong with the rows that are not among them."""
        found: list[object] = part.rows[self.x][:]
        faults = {row: f"{self.x}={text!r} is no text" for row, text in enumerate(found) if not isinstance(text, str)}
        return [text for text in found if isinstance(text, str)], faults


def _only(name: str, setting: str, found: Sequence[str], features: Mapping[str, Any]) -> str:
    """The only column that can be meant; a ValueError that asks for its name where it is not the only one."""
    if len(found) != 1:
        which = f"any of {', '.join(found)}" if found else "none that is sure"
        raise ValueError(f"hf: {name} has columns {', '.join(features)}, {which}: name one with {setting}=COLUMN")
    return found[0]


def _unlabelled(label: object) -> bool:
    """Whether a label is missing, or the number -1."""
    return label is None or (isinstance(label, int | float) and (label == -1 or label != label))


def _shown(label: object, names: Sequence[str] | None) -> str | None:
    """A label as text, by its place where the classes have names; 1.0 and 1 are one label; None: it is none."""
    if isinstance(label, list | dict):
        return None
    if names is not None:
        return names[label] if isinstance(label, int) and 0 <= label < len(names) else None
    return str(int(label) if isinstance(label, float) and label.is_integer() else label)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
