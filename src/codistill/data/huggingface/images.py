"""Images of a Hugging Face data set as bytes, cached on disk so that a second start is fast."""

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codistill.caching import digest
from codistill.data.disk_cache import MANY, cached, stamp
from codistill.data.huggingface.columns import Split
from codistill.data.images.cut import Cut, check_depth


def read_images(split: Split, column: str, cut: Cut, skip_bad: bool, folder: Path) -> tuple[Tensor, dict[int, str]]:
    """The images of a split, ``[N, C, H, W]`` uint8, and the faults of the rows that are not among them, and black.

    From 1,000 rows on, what has been decoded is cached for the next start (`codistill.data.disk_cache`), until the
    library's own fingerprint of the data is another or, of a folder, any of its files.

    Args:
        split: Of a data set.
        column: Holds its images.
        cut: Their size and channels; what it does not say, the first image does.
        skip_bad: Go on after a row that holds no image, or one that cannot be read.
        folder: The data set's, or where it would be.

    Raises:
        ValueError: an image of another size, or one that cannot be read and is not to be skipped; names the row.
    """

    def make() -> tuple[dict[str, Tensor], str | None]:
        x, faults = _read(split, column, cut, skip_bad)
        return {"x": x, "faults": torch.frombuffer(bytearray(json.dumps(faults).encode()), dtype=torch.uint8)}, note

    note = None
    if len(split.rows) >= MANY:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        note = digest([getattr(split.rows, "_fingerprint", ""), len(split.rows), *map(stamp, files)])
    options = (split.config, split.name, column, cut)
    tensors = cached("hf", folder, options, fresh=lambda then: then == note, make=make)
    faults = json.loads(tensors["faults"].numpy().tobytes())
    return tensors["x"], {int(row): fault for row, fault in faults.items()}


def _read(split: Split, column: str, cut: Cut, skip_bad: bool) -> tuple[Tensor, dict[int, str]]:
    """As `read_images`, decoded now."""
    x, faults = torch.zeros(len(split.rows), *cut.shape, dtype=torch.uint8), {}
    rows = split.rows.select_columns([column])
    for row in range(len(rows)):
        image = _image(rows, row, column)
        if isinstance(image, str):
            faults[row] = image
            split.usable({} if skip_bad else faults, False)
            continue
        cut = cut.settled(image)
        if x.shape[1:] != cut.shape:  # of the first image
            x = x.new_zeros(len(rows), *cut.shape)
        try:
            x[row] = cut.apply(image)
        except ValueError as error:
            raise ValueError(f"hf: row {row} of split {split.name!r} {error} (size=32)") from error
    return x, faults


def _image(rows: Any, row: int, column: str) -> Any:
    """A decoded image, or what is wrong with it."""
    from PIL.Image import DecompressionBombWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DecompressionBombWarning)  # before it is decoded
            image = rows[row][column]
        if image is not None:
            check_depth(image)
    except Exception as error:  # whatever a damaged image ends in
        return f"cannot be read ({' '.join(str(error).split()) or type(error).__name__})"
    return "holds no image" if image is None else image
