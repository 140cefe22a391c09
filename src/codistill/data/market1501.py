"""Market-1501: persons seen by six cameras, a retrieval set (person re-identification)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress, repeat
from pathlib import Path

import torch

from codistill.checks import flag, one_of, whole
from codistill.data.download import located, nothing_to_fetch
from codistill.data.examples import DataSet, Examples, Retrieval
from codistill.data.images.class_folders import named
from codistill.data.images.cut import Cut
from codistill.data.images.lazy import FileNames, LazyImages, readable
from codistill.data.images.workers import count

__all__ = ["market1501"]

FOLDERS = (".", "Market-1501-v15.09.15", "Market-1501", "market1501")
TRAIN, GALLERY = "bounding_box_train", "bounding_box_test"
QUERIES = ("query", "gt_bbox")
FORM = r"(-1|\d{1,4})_c([1-6])s\d+_\d+_\d+\.\w+"
NO_ONE = r"(?!-1|0+_)"  # refuses junk (-1) and distractors (0)
EXAMPLE = "0002_c1s1_000451_03.jpg"


@dataclass(frozen=True)
class Box:
    """An image of a person, and what its name says about it."""

    file: str
    person: int
    camera: int


def market1501(
    root: Path,
    *,
    download: bool = False,
    height: int = 224,
    width: int = 224,
    queries: str = "query",
    workers: int | None = None,
    skip_bad: bool = False,
) -> DataSet:
    """Persons seen by six cameras, 128x64; 751 for training, 750 others for retrieval; read by workers.

    Training classifies persons; the test part is queries and then the gallery, without labels, and `Retrieval` tells
    who they show. Images are stretched to ``height`` x ``width`` and scaled to [-1, 1] (as in
    arXiv:1706.00384); flipping is an augmentation of the run (``augment flip``). In the gallery, person -1 is junk
    (bad boxes) and 0 a distractor. ``root``, or ``Market-1501-v15.09.15`` in it, holds ``bounding_box_train``,
    ``bounding_box_test`` and ``query``. Source: Zheng et al., ICCV 2015. We differ: boxes are resized in one step, not
    by way of 160x64.

    Args:
        download: There is nothing to fetch; an error where it is on.
        height: In pixels, as the width.
        queries: query, or gt_bbox: all hand-drawn boxes of these persons and cameras, for multi-query retrieval.
        workers: See `codistill.data.images.workers.count`; batches are the same whatever it is.
        skip_bad: Leave out images that cannot be read or have an unexpected name; they are counted.

    Raises:
        FileNotFoundError: the folders do not exist, or one has no images.
        ValueError: an option out of range; an image whose name does not tell person and camera; a person who is in
            training and test; later, when an image that cannot be read is needed, its name.
    """
    nothing_to_fetch("market1501", download, f"the folder that holds {TRAIN}/")
    whole("market1501: height", height, 8), whole("market1501: width", width, 8)
    flag("market1501: skip_bad", skip_bad)
    one_of("market1501: queries", queries, QUERIES)
    cut, processes = Cut(height, width, how="stretch"), count(workers, "market1501")
    homes = [root / name for name in FOLDERS]
    home = located("market1501", homes, sorted({TRAIN, GALLERY, "query", queries}), fetchable=False)
    train, gallery, asked = (_boxes(home / folder, skip_bad) for folder in (TRAIN, GALLERY, "query"))
    if queries == "gt_bbox":
        wanted = {(box.person, box.camera) for box in asked}
        asked = [box for box in _boxes(home / queries, skip_bad) if (box.person, box.camera) in wanted]
    test = [*asked, *gallery]
    persons = _persons(home, train, test)
    files = (FileNames.of(home, (box.file for box in boxes)) for boxes in (train, test))
    x, test_x = (LazyImages(names, cut, "market1501", processes) for names in files)
    seen = Examples(x, torch.tensor([persons[box.person] for box in train]))
    held = Examples(test_x, torch.full((len(test),), -1))
    identity, camera = (torch.tensor([getattr(box, name) for box in test]) for name in ("person", "camera"))
    retrieval = Retrieval(identity, camera, query=torch.arange(len(test)) < len(asked))
    names = tuple(f"{person:04}" for person in persons)
    level = (0.5,) * 3
    return DataSet(seen, held, len(persons), "classes", level, level, names, retrieval=retrieval, cut=cut)


def _boxes(folder: Path, skip_bad: bool) -> list[Box]:
    """The images of a folder, in order of their names; junk and distractors are in the gallery and in gt_bbox alone."""
    form = f"{NO_ONE}{FORM}" if folder.name in (TRAIN, "query") else FORM
    tells = f"person (up to 4 digits; -1 and 0 in {GALLERY} only) and camera (1 to 6)"
    fields = named(folder, "*", form, "market1501", skip_bad, tells=tells, example=EXAMPLE)
    good = readable(FileNames.of(folder, fields), "market1501").tolist() if skip_bad else repeat(True)
    boxes = compress(fields.items(), good)
    return [Box(f"{folder.name}/{name}", int(match[1]), int(match[2])) for name, match in boxes]


def _persons(home: Path, train: Sequence[Box], test: Sequence[Box]) -> dict[int, int]:
    """Class by person; the persons of the test part, queries and gallery, are others."""
    persons = {person: label for label, person in enumerate(sorted({box.person for box in train}))}
    if both := next((box for box in test if box.person in persons), None):
        ways = "training and test identities must not overlap; remove it, or unpack the set again"
        raise ValueError(f"market1501: person {both.person} of {home / both.file} is in {TRAIN} too: {ways}")
    return persons
