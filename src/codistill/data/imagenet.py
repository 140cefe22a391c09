"""ImageNet in its official folders, or any set of that form, however large: read from disk by worker processes."""

import json
import time
from pathlib import Path

import torch
from torch import Tensor

from codistill.checks import flag, number, whole
from codistill.data.disk_cache import cached
from codistill.data.download import located, nothing_to_fetch
from codistill.data.examples import DataSet, Examples
from codistill.data.images import class_folders
from codistill.data.images.cut import Cut
from codistill.data.images.lazy import FileNames, LazyImages, readable
from codistill.data.images.workers import count

__all__ = ["imagenet"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
MANY = 10_000  # images from which on their list is cached
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

    The folders are in ``root`` or in ``root/imagenet``. Training sees a random crop of each image (see
    `codistill.data.images.cut.Cut`); evaluation the centre, 7/8 of the image whose short side is 256/224 of ``size``.
    Images are decoded when a batch needs them and not kept; their list is cached for the next start, until a folder
    changes. With ``skip_bad`` every image is checked first; those that cannot be read, and classes that have none in
    one of the folders, are left out with warnings that count them, and the outcome is cached until a file changes.
    Mean and standard deviation are those usual for ImageNet. Source: Russakovsky et al., IJCV 2015, arXiv:1409.0575.

    Args:
        download: There is no address to fetch it from without an account; an error where it is on.
        size: Height and width in pixels.
        area: The smallest crop that training draws, as a fraction of the pixels; 1: nearly the full image.
        workers: See `codistill.data.images.workers.count`; batches are the same whatever it is.

    Raises:
        FileNotFoundError: the folders do not exist, or a class has no images.
        ValueError: an option out of range, or classes that differ between the two; later, when an image that cannot be
            read is needed, its name.
    """
    nothing_to_fetch("imagenet", download, "the folder that holds train/ and val/")
    whole("imagenet: size", size, 8), flag("imagenet: skip_bad", skip_bad)
    cut = Cut(size, size, area=float(number("imagenet: area", area, 0, 1, above=True)))
    processes = count(workers, "imagenet")
    home = located("imagenet", [root, root / "imagenet"], ["train", "val"], fetchable=False)
    folders = home / "train", home / "val"
    names = left = class_folders.shared_classes(*folders, "imagenet")
    parts = []
    for folder in folders:
        files, y = _listed(folder, names)
        if skip_bad:
            good = readable(files, "imagenet")
            files, y = files.take(good), y[good]
        counts = dict(zip(names, torch.bincount(y, minlength=len(names)).tolist(), strict=True))
        left = class_folders.without_empty(folder, {name: counts[name] for name in left}, "imagenet", skip_bad)
        parts.append(Examples(LazyImages(files, cut, "imagenet", processes), y))
    seen, held = (part.of_classes([names.index(name) for name in left]) for part in parts)
    return DataSet(seen, held, len(left), "classes", MEAN, STD, left)


def _listed(root: Path, names: tuple[str, ...]) -> tuple[FileNames, Tensor]:
    """The images of all classes and their labels ``[N]``, from the cache or listed now."""

    def make() -> tuple[dict[str, Tensor], str | None]:
        started = time.time_ns()
        visited: dict[str, int] = {}
        paths, labels = [], []
        for label, name in enumerate(names):
            files = class_folders.image_files(root, name, visited)
            paths += files
            labels += [label] * len(files)
        trusted = len(paths) >= MANY and max(visited.values(), default=0) < started - TICK
        tensors = {"files": FileNames.of(root, paths).names, "y": torch.tensor(labels, dtype=torch.int64)}
        return tensors, json.dumps([names, visited]) if trusted else None

    def fresh(note: str) -> bool:
        known, visited = json.loads(note)
        return tuple(known) == names and all(_changed(root / name) == then for name, then in visited.items())

    tensors = cached("imagenet", root, (), fresh=fresh, make=make)
    return FileNames(root, tensors["files"]), tensors["y"]


def _changed(folder: Path) -> int | None:
    """When a folder's list of files last changed, in nanoseconds."""
    return folder.stat().st_mtime_ns if folder.is_dir() else None
