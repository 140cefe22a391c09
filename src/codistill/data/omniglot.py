"""Omniglot: handwritten characters of many alphabets, a small retrieval set."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import compress
from pathlib import Path

import torch
from torch import Tensor

from codistill.checks import flag, whole
from codistill.data.download import extract, fetch, located
from codistill.data.examples import DataSet, Examples, Retrieval, channel_statistics
from codistill.data.images.class_folders import named
from codistill.data.images.cut import Cut
from codistill.data.images.lazy import FileNames, decoded
from codistill.data.text.rows import class_numbers
from codistill.randomness import generator

__all__ = ["omniglot"]

FOLDER = "images_background"
HOMES = ("omniglot-py", ".")
URL = f"https://github.com/brendenlake/omniglot/raw/master/python/{FOLDER}.zip"
MD5 = "68d2efa1b9178cc56df9314c21c6e718"
FORM = r"\d+_(\d+)\.png"
EXAMPLE = "<alphabet>/character01/0001_01.png"
GALLERY = 10  # the first so many drawers of a character; the others are queries


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
        skip_bad: Leave out images that cannot be read or have an unexpected name, with a warning that counts them.

    Raises:
        FileNotFoundError: it does not exist and ``download`` is off.
        ValueError: an option out of range, or an image that cannot be read or has an unexpected name; names it.
    """
    whole("omniglot: test_alphabets", test_alphabets), whole("omniglot: size", size)
    flag("omniglot: skip_bad", skip_bad)
    homes = [root / home for home in HOMES]
    home = located("omniglot", homes, [FOLDER], partial(_download, homes[0]) if download else None) / FOLDER
    fields = named(home, "*/*/*", FORM, "omniglot", skip_bad, tells="the drawer", example=EXAMPLE)
    held_out = _held_out(sorted({name.split("/")[0] for name in fields}), test_alphabets, home)
    cut = Cut(size, size, grey=True, invert=True, how="stretch")
    x, good = decoded(FileNames.of(home, fields), cut, "omniglot", skip_bad)
    return replace(_data_set(home, x, dict(compress(fields.items(), good.tolist())), held_out), cut=cut)


def _download(home: Path) -> None:
    extract(fetch(URL, home / f"{FOLDER}.zip", md5=MD5), home)


def _held_out(alphabets: Sequence[str], count: int, home: Path) -> set[str]:
    """The alphabets of the test."""
    if count >= len(alphabets):
        holds = f"{home} holds {len(alphabets)}, and training needs one"
        raise ValueError(f"omniglot: test_alphabets={count}: {holds}: lower it")
    order = torch.randperm(len(alphabets), generator=generator(0, "test set", "omniglot")).tolist()
    return {alphabets[i] for i in order[:count]}


def _data_set(home: Path, x: Tensor, fields: Mapping[str, re.Match[str]], held_out: set[str]) -> DataSet:
    characters = [name.rpartition("/")[0] for name in fields]
    names = sorted(set(characters))
    identity = torch.tensor(class_numbers(characters, names))
    drawer = torch.tensor([int(match[1]) for match in fields.values()])
    tested = torch.tensor([name.split("/")[0] in held_out for name in fields])
    query = drawer[tested] > GALLERY
    if len(torch.unique(query)) < 2:
        lack = "the test alphabets lack queries (drawers 11-20) or a gallery (1-10)"
        raise ValueError(f"omniglot: {home}: {lack}: unpack the set again, or change test_alphabets")
    classes, y = torch.unique(identity[~tested], return_inverse=True)
    train, test = Examples(x[~tested], y), Examples(x[tested], torch.full((len(query),), -1))
    retrieval = Retrieval(identity[tested], drawer[tested], query)
    learned = tuple(names[number] for number in classes.tolist())
    return DataSet(train, test, len(classes), "classes", *channel_statistics(train.x), learned, retrieval=retrieval)
