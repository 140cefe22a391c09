"""ImageNet in its official folders, or any set of that form, however large: read from disk by worker processes."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import Tensor

from codistill.checks import flag, number, whole
from codistill.data.disk_cache import cached
from codistill.data.download import located, nothing_to_fetch
from codistill.data.examples import DataSet, Examples
from codistill.data.grouping import groups_of_files
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
    group: str | None = None,
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
        group: As of `codistill.data.folder.folder`.

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
    images = partial(LazyImages, cut=cut, name="imagenet", workers=processes)
    names = class_folders.shared_classes(home / "train", home / "val", "imagenet")
    train, names = _examples(home / "train", names, images, skip_bad)
    held, both = _examples(home / "val", names, images, skip_bad)
    train = train.of_classes([names.index(name) for name in both])
    groups: tuple[str, ...] = ()
    if group is not None and isinstance(train.x, LazyImages):
        owners, groups = groups_of_files("imagenet", train.x.files, str(group))
        train = replace(train, group=owners)
    return DataSet(train, held, len(both), "classes", MEAN, STD, both, groups=groups, cut=cut)


def _examples(
    root: Path, names: tuple[str, ...], images: Callable[[FileNames], LazyImages], skip_bad: bool
) -> tuple[Examples, tuple[str, ...]]:
    """The examples of some classes, and those of the classes that have any."""
    files, y = _listed(root, names)
    if skip_bad:
        good = readable(files, "imagenet")
        files, y = files.take(good), y[good]
    return class_folders.of_full_classes(Examples(images(files), y), root, names, "imagenet", skip_bad)


def _listed(root: Path, names: tuple[str, ...]) -> tuple[FileNames, Tensor]:
    """The images of all classes and their labels ``[N]``, from the cache or listed now."""

    def make() -> tuple[dict[str, Tensor], str | None]:
        started = time.time_ns()
        visited: dict[str, int] = {}
        files, y = class_folders.listed(root, names, visited)
        trusted = len(files) >= MANY and max(visited.values(), default=0) < started - TICK
        return {"files": files.names, "y": y}, json.dumps([names, visited]) if trusted else None

    def fresh(note: str) -> bool:
        known, visited = json.loads(note)
        folders = [(root / name, then) for name, then in visited.items()]
        return tuple(known) == names and all(f.is_dir() and f.stat().st_mtime_ns == then for f, then in folders)

    tensors = cached("imagenet", root, (), fresh=fresh, make=make)
    return FileNames(root, tensors["files"]), tensors["y"]
