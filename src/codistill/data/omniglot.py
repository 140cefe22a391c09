"""Omniglot: handwritten characters of many alphabets, a small set for searching."""

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from codistill.checks import flag, whole
from codistill.data.class_folders import is_picture, left_out
from codistill.data.cut import Unreadable, open_picture, pixels
from codistill.data.download import extract, fetch, missing
from codistill.data.examples import DataSet, Examples, Retrieval, channel_statistics
from codistill.data.kept import digest, kept, stamp
from codistill.randomness import generator

__all__ = ["omniglot"]

FOLDER = "images_background"
HOMES = ("omniglot-py", ".")
URL = f"https://github.com/brendenlake/omniglot/raw/master/python/{FOLDER}.zip"
MD5 = "68d2efa1b9178cc56df9314c21c6e718"
FORM = re.compile(r"\d+_(\d+)\.png")
EXAMPLE = "<alphabet>/character01/0001_01.png"
GALLERY = 10  # the first so many drawers of a character; the others ask for it
MANY = 1000  # pictures from which on they are kept decoded


@dataclass(frozen=True)
class Drawing:
    """A picture of a character, and what its place tells."""

    path: Path
    alphabet: str
    character: str
    drawer: int


def omniglot(
    root: Path, *, download: bool = False, test_alphabets: int = 10, size: int = 28, skip_bad: bool = False
) -> DataSet:
    """964 handwritten characters of 30 alphabets, 20 drawers each; new alphabets are searched in.

    Whole alphabets are kept for the test, the same for everybody: of each of their characters, drawers 1-10 are the
    gallery and the others the queries, without labels, and `Retrieval` tells what they show. The other alphabets are
    the training part, a class to a character. A drawer stands where the camera is elsewhere; queries and gallery have
    no drawer in common, so no picture is left out of a ranking. One channel, the stroke bright on dark, made smaller
    from 105x105; mean and deviation are those of the training part. What has been decoded is kept for the next start
    (`codistill.data.kept`). Source: Lake, Salakhutdinov, Tenenbaum, Science 2015 (its background set).

    Args:
        root: Holds ``omniglot-py/images_background`` or ``images_background``.
        download: Fetch it where it is not there.
        test_alphabets: How many alphabets are kept for the test.
        size: Height and width in pixels.
        skip_bad: Leave out pictures that cannot be read or have another name than they should, with a warning that
            counts them, in place of an error.

    Raises:
        FileNotFoundError: it is not there and ``download`` is off.
        ValueError: an option out of range, or a picture that cannot be read or is called otherwise; names it.
    """
    whole("omniglot: test_alphabets", test_alphabets)
    whole("omniglot: size", size)
    flag("omniglot: skip_bad", skip_bad)
    home = _home(root, download)
    drawings = _drawings(home, skip_bad)
    alphabets = sorted({drawing.alphabet for drawing in drawings})
    if test_alphabets >= len(alphabets):
        raise ValueError(
            f"omniglot: test_alphabets={test_alphabets}: {home} holds {len(alphabets)}, and one at least is learnt: "
            "lower it"
        )
    x, drawings = _read(home, drawings, size, skip_bad)
    order = torch.randperm(len(alphabets), generator=generator(0, "test set", "omniglot")).tolist()
    kept_back = {alphabets[i] for i in order[:test_alphabets]}
    names = sorted({f"{drawing.alphabet}/{drawing.character}" for drawing in drawings})
    numbers = {name: number for number, name in enumerate(names)}
    identity = torch.tensor([numbers[f"{drawing.alphabet}/{drawing.character}"] for drawing in drawings])
    drawer = torch.tensor([drawing.drawer for drawing in drawings])
    tested = torch.tensor([drawing.alphabet in kept_back for drawing in drawings])
    query = drawer[tested] > GALLERY
    if not len(query) or bool(query.all()) or not bool(query.any()):
        raise ValueError(f"omniglot: {home}: the test alphabets lack queries (drawers 11-20) or a gallery (1-10)")
    told = Retrieval(identity[tested], drawer[tested], query)
    learnt, y = torch.unique(identity[~tested], return_inverse=True)
    mean, std = channel_statistics(x[~tested])
    return DataSet(
        Examples(x[~tested], y),
        Examples(x[tested], torch.full((int(tested.sum()),), -1)),
        classes=len(learnt),
        task="classes",
        mean=mean,
        std=std,
        names=tuple(names[number] for number in learnt.tolist()),
        retrieval=told,
    )


def _home(root: Path, download: bool) -> Path:
    places = [root / home / FOLDER for home in HOMES]
    found = next((place for place in places if place.is_dir()), None)
    if found is None and not download:
        raise missing("omniglot", places)
    if found is None:
        extract(fetch(URL, places[0].parent / f"{FOLDER}.zip", md5=MD5), places[0].parent)
    return found or places[0]


def _drawings(home: Path, skip_bad: bool) -> list[Drawing]:
    """Every picture, in order of its name; other files are passed over."""
    paths = sorted(path for path in home.glob("*/*/*") if is_picture(path.name) and not path.name.startswith("."))
    matches = {path: FORM.fullmatch(path.name) for path in paths}
    misnamed = [path for path, match in matches.items() if not match]
    if misnamed and not skip_bad:
        raise ValueError(
            f"omniglot: {misnamed[0]}: the name tells no drawer as {EXAMPLE} does: rename or remove it, or set "
            "skip_bad=true"
        )
    if misnamed:
        left_out("omniglot", f"of {len(paths)} pictures have other names than such as {EXAMPLE}", misnamed)
    if len(paths) == len(misnamed):
        raise FileNotFoundError(f"omniglot: {home} has no pictures such as {EXAMPLE}: unpack the set again")
    return [
        Drawing(path, path.parent.parent.name, path.parent.name, int(match[1]))
        for path, match in matches.items()
        if match
    ]


def _read(home: Path, drawings: Sequence[Drawing], size: int, skip_bad: bool) -> tuple[Tensor, list[Drawing]]:
    """Those that can be read, ``[N, 1, size, size]`` uint8, from what an earlier start has kept."""
    paths = [drawing.path for drawing in drawings]
    note = digest(map(stamp, paths)) if len(paths) >= MANY else ""

    def make() -> tuple[dict[str, Tensor], str | None]:
        with ThreadPoolExecutor() as pool:
            read = list(pool.map(lambda path: _picture(path, size, skip_bad), paths))
        good = torch.tensor([image is not None for image in read])
        found = [image for image in read if image is not None]
        return {"x": torch.stack(found) if found else torch.empty(0), "good": good}, note or None

    found = kept("omniglot", home, (size,), fresh=note.__eq__, make=make)
    bad = [path for path, fine in zip(paths, found["good"].tolist(), strict=True) if not fine]
    if bad and not skip_bad:
        _picture(bad[0], size, skip_bad)  # which names it
    if bad:
        left_out("omniglot", f"of {len(paths)} pictures cannot be read", bad)
    if len(bad) == len(paths):
        raise FileNotFoundError(f"omniglot: no picture in {home} can be read: unpack the set again")
    return found["x"], [drawing for drawing, fine in zip(drawings, found["good"].tolist(), strict=True) if fine]


def _picture(path: Path, size: int, skip_bad: bool) -> Tensor | None:
    from PIL import ImageOps
    from PIL.Image import Resampling

    try:
        return pixels(ImageOps.invert(open_picture(path, "L")).resize((size, size), Resampling.BILINEAR))
    except Unreadable:
        if skip_bad:
            return None
        raise
