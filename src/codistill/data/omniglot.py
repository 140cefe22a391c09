"""Omniglot: handwritten characters of many alphabets, a small retrieval set."""

import re
from dataclasses import dataclass
from pathlib import Path

import torch

from codistill.checks import flag, whole
from codistill.data.download import extract, fetch, located
from codistill.data.examples import DataSet, Examples, Retrieval, channel_statistics
from codistill.data.images.class_folders import is_image
from codistill.data.images.cut import Cut
from codistill.data.images.lazy import decoded
from codistill.data.skipping import left_out
from codistill.randomness import generator

__all__ = ["omniglot"]

FOLDER = "images_background"
HOMES = ("omniglot-py", ".")
URL = f"https://github.com/brendenlake/omniglot/raw/master/python/{FOLDER}.zip"
MD5 = "68d2efa1b9178cc56df9314c21c6e718"
FORM = re.compile(r"\d+_(\d+)\.png")
EXAMPLE = "<alphabet>/character01/0001_01.png"
GALLERY = 10  # the first so many drawers of a character; the others are queries


@dataclass(frozen=True)
class Drawing:
    """An image of a character, and what its path says about it."""

    path: Path
    alphabet: str
    character: str
    drawer: int


def omniglot(
    root: Path, *, download: bool = False, test_alphabets: int = 10, size: int = 28, skip_bad: bool = False
) -> DataSet:
    """964 handwritten characters of 30 alphabets, 20 drawers each; retrieval in alphabets not seen in training.

    Whole alphabets are held out for the test, the same for every seed: of each of their characters, drawers 1-10 are
    the gallery and the others the queries, without labels, and `Retrieval` tells what they show. The other alphabets
    are the training part, a class to a character. A drawer takes the role of the camera; queries and gallery have
    no drawer in common, so no image is left out of a ranking. One channel, the stroke bright on dark, resized
    from 105x105; mean and standard deviation are those of the training part. What has been decoded is cached for the
    next start (`codistill.data.disk_cache`). Source: Lake, Salakhutdinov, Tenenbaum, Science 2015 (its background
    set).

    Args:
        root: Holds ``omniglot-py/images_background`` or ``images_background``.
        download: Fetch it where it does not exist.
        test_alphabets: How many alphabets are held out for the test.
        size: Height and width in pixels.
        skip_bad: Leave out images that cannot be read or have an unexpected name, with a warning that
            counts them, in place of an error.

    Raises:
        FileNotFoundError: it does not exist and ``download`` is off.
        ValueError: an option out of range, or an image that cannot be read or has an unexpected name; names it.
    """
    whole("omniglot: test_alphabets", test_alphabets)
    whole("omniglot: size", size)
    flag("omniglot: skip_bad", skip_bad)
    homes = [root / home for home in HOMES]

    def download_all() -> None:
        extract(fetch(URL, homes[0] / f"{FOLDER}.zip", md5=MD5), homes[0])

    home = located("omniglot", homes, [FOLDER], download_all if download else None) / FOLDER
    drawings = _drawings(home, skip_bad)
    alphabets = sorted({drawing.alphabet for drawing in drawings})
    if test_alphabets >= len(alphabets):
        raise ValueError(
            f"omniglot: test_alphabets={test_alphabets}: {home} holds {len(alphabets)}, and training needs one at "
            "least: lower it"
        )
    cut = Cut(size, size, grey=True, invert=True, how="stretch")
    x, good = decoded("omniglot", home, [drawing.path for drawing in drawings], cut, skip_bad)
    drawings = [drawing for drawing, fine in zip(drawings, good.tolist(), strict=True) if fine]
    order = torch.randperm(len(alphabets), generator=generator(0, "test set", "omniglot")).tolist()
    held_out = {alphabets[i] for i in order[:test_alphabets]}
    names = sorted({f"{drawing.alphabet}/{drawing.character}" for drawing in drawings})
    numbers = {name: number for number, name in enumerate(names)}
    identity = torch.tensor([numbers[f"{drawing.alphabet}/{drawing.character}"] for drawing in drawings])
    drawer = torch.tensor([drawing.drawer for drawing in drawings])
    tested = torch.tensor([drawing.alphabet in held_out for drawing in drawings])
    query = drawer[tested] > GALLERY
    if not len(query) or bool(query.all()) or not bool(query.any()):
        raise ValueError(
            f"omniglot: {home}: the test alphabets lack queries (drawers 11-20) or a gallery (1-10): unpack the set "
            "again, or change test_alphabets"
        )
    classes, y = torch.unique(identity[~tested], return_inverse=True)
    mean, std = channel_statistics(x[~tested])
    return DataSet(
        Examples(x[~tested], y),
        Examples(x[tested], torch.full((int(tested.sum()),), -1)),
        classes=len(classes),
        task="classes",
        mean=mean,
        std=std,
        names=tuple(names[number] for number in classes.tolist()),
        retrieval=Retrieval(identity[tested], drawer[tested], query),
    )


def _drawings(home: Path, skip_bad: bool) -> list[Drawing]:
    """Every image, in order of its name; other files are passed over."""
    paths = sorted(path for path in home.glob("*/*/*") if is_image(path.name))
    matches = {path: FORM.fullmatch(path.name) for path in paths}
    fix = f"the name must tell the drawer as {EXAMPLE} does; rename or remove it, or unpack the set again"
    bad = [str(path) for path, match in matches.items() if not match]
    if not paths:
        raise FileNotFoundError(f"omniglot: {home} has no images such as {EXAMPLE}: unpack the set again")
    left_out("omniglot", "images", len(paths), bad, skip_bad=skip_bad, fix=fix)
    return [
        Drawing(path, path.parent.parent.name, path.parent.name, int(match[1]))
        for path, match in matches.items()
        if match
    ]
