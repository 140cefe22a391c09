"""Market-1501: persons seen by six cameras, a retrieval set (person re-identification)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from codistill.checks import flag, whole
from codistill.data.download import located, nothing_to_fetch
from codistill.data.examples import DataSet, Examples, Retrieval
from codistill.data.images.class_folders import is_image
from codistill.data.images.cut import Cut
from codistill.data.images.lazy import FileNames, LazyImages, readable
from codistill.data.images.workers import count
from codistill.data.skipping import left_out
from codistill.spec import UnknownName

__all__ = ["market1501"]

FOLDERS = (".", "Market-1501-v15.09.15", "Market-1501", "market1501")
TRAIN, GALLERY = "bounding_box_train", "bounding_box_test"
QUERIES = ("query", "gt_bbox")
FORM = re.compile(r"(-1|\d{1,4})_c([1-6])s\d+_\d+_\d+\.\w+", re.ASCII)
EXAMPLE = "0002_c1s1_000451_03.jpg"
JUNK, DISTRACTOR = -1, 0


@dataclass(frozen=True)
class Box:
    """An image of a person, and what its name says about it."""

    path: Path
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
    (bad boxes) and 0 a distractor. Source: Zheng et al., ICCV 2015. We differ: boxes are resized in one step, not by
    way of 160x64.

    Args:
        root: Holds ``bounding_box_train``, ``bounding_box_test`` and ``query``, or ``Market-1501-v15.09.15`` does.
        download: There is nothing to fetch; an error where it is on.
        height: In pixels.
        width: In pixels.
        queries: ``query`` (one hand-drawn box of each person and camera), or ``gt_bbox``: all hand-drawn boxes of these
            persons and cameras, for multi-query retrieval.
        workers: Processes that read; 0: the training's own. None: the environment variable CODISTILL_WORKERS,
            else one for each core, at most 8. Batches are the same whatever it is.
        skip_bad: Check every image first, and leave out those that cannot be read or have an unexpected name, with a
            warning that counts them, in place of an error. The outcome is cached for the next start, until a file
            changes.

    Raises:
        FileNotFoundError: the folders do not exist, or one has no images.
        ValueError: an option out of range; an image whose name does not tell person and camera; a person who is in
            training and test; later, when an image that cannot be read is needed, its name.
    """
    nothing_to_fetch("market1501", download, f"the folder that holds {TRAIN}/")
    for setting, value in (("height", height), ("width", width)):
        whole(f"market1501: {setting}", value, 8)
    flag("market1501: skip_bad", skip_bad)
    if queries not in QUERIES:
        raise UnknownName("folder of queries", str(queries), QUERIES)
    processes = count(workers, "market1501")
    homes = [root / name for name in FOLDERS]
    home = located("market1501", homes, sorted({TRAIN, GALLERY, "query", queries}), fetchable=False)
    train, gallery, asked = (_boxes(home / folder, skip_bad) for folder in (TRAIN, GALLERY, "query"))
    if queries == "gt_bbox":
        wanted = {(box.person, box.camera) for box in asked}
        asked = [box for box in _boxes(home / queries, skip_bad) if (box.person, box.camera) in wanted]
    persons = _persons(train, asked + gallery)
    cut = Cut(height, width, how="stretch")

    def images(boxes: Sequence[Box]) -> LazyImages:
        files = FileNames.of(home, (box.path.relative_to(home).as_posix() for box in boxes))
        return LazyImages(files, cut, name="market1501", workers=processes)

    test = asked + gallery
    retrieval = Retrieval(
        identity=torch.tensor([box.person for box in test]),
        camera=torch.tensor([box.camera for box in test]),
        query=torch.arange(len(test)) < len(asked),
    )
    return DataSet(
        Examples(images(train), torch.tensor([persons[box.person] for box in train])),
        Examples(images(test), torch.full((len(test),), -1)),
        classes=len(persons),
        task="classes",
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        names=tuple(f"{person:04}" for person in persons),
        retrieval=retrieval,
    )


def _boxes(folder: Path, skip_bad: bool) -> list[Box]:
    """The images of a folder, in order of their names; other files (Thumbs.db) are passed over."""
    paths = sorted(path for path in folder.iterdir() if is_image(path.name))
    named = {path: match for path in paths if (match := _match(path, folder.name))}
    if not paths:
        raise FileNotFoundError(f"market1501: {folder} has no images such as {EXAMPLE}: unpack the set again")
    fix = (
        f"the name must tell person (up to 4 digits; -1 and 0 in {GALLERY} only) and camera (1 to 6) as {EXAMPLE} "
        "does; rename or remove it"
    )
    bad = [str(path) for path in paths if path not in named]
    left_out("market1501", f"images in {folder}", len(paths), bad, skip_bad=skip_bad, fix=fix)
    if skip_bad:
        good = readable(FileNames.of(folder, (path.name for path in named)), "market1501").tolist()
        named = {path: match for (path, match), fine in zip(named.items(), good, strict=True) if fine}
    return [Box(path, int(match[1]), int(match[2])) for path, match in named.items()]


def _match(path: Path, folder: str) -> re.Match[str] | None:
    """The fields of a name; junk and distractors belong to the gallery (and to ``gt_bbox``)."""
    match = FORM.fullmatch(path.name)
    wrong = match and folder in (TRAIN, "query") and int(match[1]) in (JUNK, DISTRACTOR)
    return None if wrong else match


def _persons(train: Sequence[Box], test: Sequence[Box]) -> dict[int, int]:
    """Class by person; the persons of the test part, queries and gallery, are others."""
    persons = {person: label for label, person in enumerate(sorted({box.person for box in train}))}
    if both := next((box for box in test if box.person in persons), None):
        raise ValueError(
            f"market1501: person {both.person} of {both.path} is in {TRAIN} too: training and test identities must not "
            "overlap; remove it, or unpack the set again"
        )
    return persons
