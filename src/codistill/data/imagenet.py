"""ImageNet in its official folders, or any set of that form, however large: read from disk by worker processes."""

import json
import time
from pathlib import Path

import torch
from torch import Tensor

from codistill.checks import flag, whole
from codistill.data import class_folders
from codistill.data.cut import Cut
from codistill.data.download import missing, nothing_to_fetch
from codistill.data.examples import DataSet, Examples
from codistill.data.kept import kept
from codistill.data.pictures import Files, Pictures, readable
from codistill.data.workers import count

__all__ = ["imagenet"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MANY = 10_000  # pictures from which on the list of them is kept
TICK = 2 * 10**9  # nanoseconds within which a folder may change twice and show one time


def imagenet(
    root: Path,
    *,
    download: bool = False,
    size: int = 224,
    area: float = 0.08,
    workers: int | None = None,
    skip_bad: bool = False,
) -> DataSet:
    """Photos in root/{train,val}/<class>/, any number of classes (ImageNet: 1,000, 1.3 million); read by workers.

    For training, a part drawn from each picture (see `codistill.data.cut.Cut`); for evaluation the centre, 7/8 of
    what is left when the short side is 256/224 of ``size``. Pictures are decoded when a batch needs them and not kept;
    the list of them is kept for the next start, until a folder changes. Mean and deviation are those usual for
    ImageNet. Source: Russakovsky et al., IJCV 2015, arXiv:1409.0575.

    Args:
        root: Holds ``train`` and ``val``, or ``imagenet/train`` and ``imagenet/val``.
        download: There is no address to fetch it from without an account; an error where it is on.
        size: Height and width in pixels.
        area: The smallest part of a picture that training sees, of its pixels; 1 for nearly the whole.
        workers: Processes that read; 0: this one. If not given, what the environment variable CODISTILL_WORKERS says,
            else one for each core, at most 8. Batches are the same whatever it is.
        skip_bad: Look at every picture first, and leave out those that cannot be read, and classes that are without
            any in one of the parts, with warnings that count them, in place of an error. What was found is kept for
            the next start, until a file changes.

    Raises:
        FileNotFoundError: the folders are not there, or a class without pictures.
        ValueError: an option out of range, or classes that differ between the two; later, when a picture is to be read
            and cannot be, its name.
    """
    nothing_to_fetch("imagenet", download, "name the folder that holds train/ and val/ (--data-root FOLDER)")
    whole("imagenet: size", size, 8)
    flag("imagenet: skip_bad", skip_bad)
    if isinstance(area, bool) or not isinstance(area, int | float) or not 0 < area <= 1:
        raise ValueError(f"imagenet: area={area!r}: give a number above 0 and up to 1, such as 0.08")
    found = count(workers, "imagenet")
    folders = (root, root / "imagenet")
    home = next((f for f in folders if all((f / part).is_dir() for part in ("train", "val"))), None)
    if home is None:
        raise missing("imagenet", (f / part for f in folders for part in ("train", "val")), fetched=False)
    train, val = home / "train", home / "val"
    names, others = (class_folders.classes(part, "imagenet") for part in (train, val))
    class_folders.same_classes(train, val, names, others, "imagenet")
    listed = {part: _listed(part, names) for part in (train, val)}
    good = {
        part: readable(files, "imagenet") if skip_bad else torch.ones(len(files), dtype=torch.bool)
        for part, (files, _) in listed.items()
    }
    left = names
    for part, (_, y) in listed.items():
        counts = dict(zip(names, torch.bincount(y[good[part]], minlength=len(names)).tolist(), strict=True))
        left = class_folders.without_empty(part, {name: counts[name] for name in left}, "imagenet", skip_bad)
    cut = Cut(size, size, area=float(area))

    def examples(part: Path) -> Examples:
        files, y = listed[part]
        every = Examples(Pictures(files, cut, name="imagenet", workers=found), y)
        return every.take(good[part].nonzero().flatten()).of_classes([names.index(name) for name in left])

    return DataSet(examples(train), examples(val), len(left), "classes", MEAN, STD, left)


def _listed(root: Path, names: tuple[str, ...]) -> tuple[Files, Tensor]:
    """The pictures of all classes and their labels ``[N]``, as an earlier start has found them, or found anew."""

    def make() -> tuple[dict[str, Tensor], str | None]:
        started = time.time_ns()
        visited: dict[str, int] = {}
        paths, labels = [], []
        for label, name in enumerate(names):
            own = class_folders.pictures(root, name, visited)
            paths += own
            labels += [label] * len(own)
        files = Files.of(root, paths)
        trusted = len(paths) >= MANY and max(visited.values(), default=0) < started - TICK
        tensors = {"text": files.text, "ends": files.ends, "y": torch.tensor(labels, dtype=torch.int64)}
        return tensors, json.dumps([names, visited]) if trusted else None

    def fresh(note: str) -> bool:
        known, visited = json.loads(note)
        return tuple(known) == names and all(_changed(root / name) == then for name, then in visited.items())

    found = kept("imagenet", root, (), fresh=fresh, make=make)
    return Files(root, found["text"], found["ends"]), found["y"]


def _changed(folder: Path) -> int | None:
    """When a folder's list of files last changed, in nanoseconds."""
    return folder.stat().st_mtime_ns if folder.is_dir() else None
