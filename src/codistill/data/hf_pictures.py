"""Pictures of a Hugging Face data set as bytes, kept on disk so that a second start is fast."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codistill.data.frame import Frame
from codistill.data.hf_columns import Part
from codistill.data.kept import digest, kept, stamp

MANY = 1000  # pictures from which on they are kept decoded


@dataclass(frozen=True)
class Source:
    """Where the pictures come from: the data set's folder, or where it would be, and what else it was read by."""

    folder: Path
    config: str | None

    def note(self, part: Part) -> str:
        """A text that changes with the data: by the library's own mark and, of a folder, by its files."""
        files = sorted(path for path in self.folder.rglob("*") if path.is_file()) if self.folder.is_dir() else []
        return digest([getattr(part.rows, "_fingerprint", ""), len(part.rows), *map(stamp, files)])


def pictures(part: Part, column: str, frame: Frame, skip_bad: bool, source: Source) -> tuple[Tensor, dict[int, str]]:
    """The pictures of a part, ``[n, C, H, W]`` uint8, and what is wrong with the rows that are not among them.

    From 1,000 rows on, what has been decoded is kept for the next start (`codistill.data.kept`).

    Args:
        part: Of a data set.
        column: Holds its pictures.
        frame: Size and channels; is given those of the first picture, where it has none.
        skip_bad: Go on after a row that holds no picture, or one that cannot be read.
        source: Where the data set comes from.

    Raises:
        ValueError: a picture of another size; names the row.
    """

    def make() -> tuple[dict[str, Tensor], str | None]:
        x, faults = _read(part, column, frame, skip_bad)
        said = torch.frombuffer(bytearray(json.dumps(faults).encode()), dtype=torch.uint8)
        return {"x": x, "faults": said}, note if len(x) and (skip_bad or not faults) else None

    note = source.note(part) if len(part.rows) >= MANY else None
    if note is None:
        return _read(part, column, frame, skip_bad)
    options = (source.config, part.name, column, frame.fitted, frame.size, frame.grey)
    found = kept("hf", source.folder, options, fresh=note.__eq__, make=make)
    x = found["x"]
    if len(x):
        frame.size, frame.grey = (x.shape[3], x.shape[2]), x.shape[1] == 1
    faults = json.loads(found["faults"].numpy().tobytes())
    return x, {int(row): fault for row, fault in faults.items()}


def _read(part: Part, column: str, frame: Frame, skip_bad: bool) -> tuple[Tensor, dict[int, str]]:
    """As `pictures`, decoded now; ends at the first fault where none may be skipped."""
    found, faults = [], {}
    rows = part.rows.select_columns([column])
    for row in range(len(rows)):
        picture = _picture(rows, row, column, frame, f"hf: row {row} of part {part.name!r}")
        if isinstance(picture, Tensor):
            found.append(picture)
            continue
        faults[row] = picture
        if not skip_bad:
            break
    return torch.stack(found) if found else torch.empty(0), faults


def _picture(rows: Any, row: int, column: str, frame: Frame, where: str) -> Tensor | str:
    """A picture, ``[C, H, W]`` uint8, or what is wrong with it."""
    try:
        image = rows[row][column]
    except Exception as error:  # whatever a damaged picture ends in
        return f"cannot be read ({' '.join(str(error).split()) or type(error).__name__})"
    if image is None:
        return "holds no picture"
    if image.mode.startswith(("I", "F")):
        return f"has more than 8 bits to a pixel (mode {image.mode})"
    return frame.take(image, where)
