"""Market-1501: persons seen by six cameras, a set for searching."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from codistill.checks import flag, whole
from codistill.data.class_folders import is_picture, left_out
from codistill.data.cut import Cut
from codistill.data.download import missing, nothing_to_fetch
from codistill.data.examples import DataSet, Examples, Retrieval
from codistill.data.pictures import Files, Pictures, readable
from codistill.data.workers import count
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
    """A picture of a person, and what its name tells."""

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
    """Persons seen by six cameras, 128x64; 751 to learn, 750 others to be found again; read by workers.

    Training classifies persons; the test part is queries and then the gallery, without labels, and `Retrieval` tells
    who is on them. Pictures are stretched to ``height`` x ``width`` and scaled to [-1, 1] (as in
    arXiv:1706.00384); a flip is the loader's (``augment flip``). Of the gallery, person -1 is junk (bad boxes) and 0
    nobody who is searched for. Source: Zheng et al., ICCV 2015. We differ: boxes go to their size at once, not by way
    of 160x64.

    Args:
        root: Holds ``bounding_box_train``, ``bounding_box_test`` and ``query``, or ``Market-1501-v15.09.15`` does.
        download: There is nothing to fetch; an error where it is on.
        height: In pixels.
        width: In pixels.
        queries: ``query`` (one hand-drawn box of each person and camera), or ``gt_bbox``: all hand-drawn boxes of these
            persons and cameras, for searching with several at once.
        workers: Processes that read; 0: this one. If not given, what the environment variable CODISTILL_WORKERS says,
            else one for each core, at most 8. Batches are the same whatever it is.
        skip_bad: Look at every picture first, and leave out those that cannot be read or have another name than they
            should, with a warning that counts them, in place of an error. What was found is kept for the next start,
            until a file changes.

    Raises:
        FileNotFoundError: the folders are not there, or one has no pictures.
        ValueError: an option out of range; a picture whose name tells no person and camera; a person who is in both
            parts; later, when a picture is to be read and cannot be, its name.
    """
    nothing_to_fetch("market1501", download, f"name the folder that holds {TRAIN}/ (--data-root FOLDER)")
    for setting, value in (("height", height), ("width", width)):
        whole(f"market1501: {setting}", value, 8)
    flag("market1501: skip_bad", skip_bad)
    if queries not in QUERIES:
        raise UnknownName("folder of queries", str(queries), QUERIES)
    found = count(workers, "market1501")
    home = _home(root, {TRAIN, GALLERY, "query", queries})
    train, gallery, asked = (_boxes(home / folder, skip_bad) for folder in (TRAIN, GALLERY, "query"))
    if queries == "gt_bbox":
        wanted = {(box.person, box.camera) for box in asked}
        asked = [box for box in _boxes(home / queries, skip_bad) if (box.person, box.camera) in wanted]
    persons = _persons(train, asked + gallery)
    cut = Cut(height, width, stretch=True)

    def pictures(boxes: Sequence[Box]) -> Pictures:
        files = Files.of(home, (box.path.relative_to(home).as_posix() for box in boxes))
        return Pictures(files, cut, name="market1501", workers=found)

    test = asked + gallery
    told = Retrieval(
        identity=torch.tensor([box.person for box in test]),
        camera=torch.tensor([box.camera for box in test]),
        query=torch.arange(len(test)) < len(asked),
    )
    return DataSet(
        Examples(pictures(train), torch.tensor([persons[box.person] for box in train])),
        Examples(pictures(test), torch.full((len(test),), -1)),
        classes=len(persons),
        task="classes",
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        names=tuple(f"{person:04}" for person in persons),
        retrieval=told,
    )


def _home(root: Path, needed: set[str]) -> Path:
    for name in FOLDERS:
        if all((root / name / folder).is_dir() for folder in needed):
            return root / name
    raise missing(
        "market1501", (root / name / folder for name in FOLDERS[:2] for folder in sorted(needed)), fetched=False
    )


def _boxes(folder: Path, skip_bad: bool) -> list[Box]:
    """The pictures of a folder, in order of their names; other files (Thumbs.db) are passed over."""
    paths = sorted(path for path in folder.iterdir() if is_picture(path.name) and not path.name.startswith("."))
    named = {path: match for path in paths if (match := _match(path, folder.name))}
    if misnamed := [path for path in paths if path not in named]:
        if not skip_bad:
            raise ValueError(
                f"market1501: {misnamed[0]}: the name tells no person (up to 4 digits) and camera (1 to 6) as "
                f"{EXAMPLE} does{_but(misnamed[0], folder.name)}: rename or remove it, or set skip_bad=true"
            )
        left_out(
            "market1501", f"of {len(paths)} pictures in {folder} have other names than such as {EXAMPLE}", misnamed
        )
    if skip_bad:
        good = readable(Files.of(folder, (path.name for path in named)), "market1501").tolist()
        named = {path: match for (path, match), fine in zip(named.items(), good, strict=True) if fine}
    if not named:
        raise FileNotFoundError(f"market1501: {folder} has no pictures such as {EXAMPLE}: unpack the set again")
    return [Box(path, int(match[1]), int(match[2])) for path, match in named.items()]


def _match(path: Path, folder: str) -> re.Match[str] | None:
    """What the name tells; junk and distractors are of the gallery (and of the boxes that nobody drew a query from)."""
    match = FORM.fullmatch(path.name)
    wrong = match and folder in (TRAIN, "query") and int(match[1]) in (JUNK, DISTRACTOR)
    return None if wrong else match


def _but(path: Path, folder: str) -> str:
    return f", and only {GALLERY} has persons -1 and 0" if FORM.fullmatch(path.name) else ""


def _persons(train: Sequence[Box], test: Sequence[Box]) -> dict[int, int]:
    """Class by person; the persons of the test part, queries and gallery, are others."""
    persons = {person: label for label, person in enumerate(sorted({box.person for box in train}))}
    if both := next((box for box in test if box.person in persons), None):
        raise ValueError(
            f"market1501: person {both.person} of {both.path} is in {TRAIN} too: nobody who is learnt may be "
            "searched for, or among whom one searches; remove it, or unpack the set again"
        )
    return persons
