"""Any folder of pictures, a folder to each class."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from codistill.checks import flag, whole
from codistill.data import class_folders
from codistill.data.cut import Unreadable, open_picture, pixels
from codistill.data.download import nothing_to_fetch
from codistill.data.examples import DataSet, Examples, channel_statistics
from codistill.data.kept import digest, kept, stamp
from codistill.data.split import held_out

__all__ = ["folder"]

TESTS = ("test", "val")  # the first that is there is taken
MANY = 1000  # pictures from which on they are kept decoded


def folder(
    root: Path,
    *,
    download: bool = False,
    size: int = 32,
    grey: bool = False,
    test: float = 0.2,
    skip_bad: bool = False,
) -> DataSet:
    """Your own pictures: root/train/<class>/ and root/test/<class>/ (or val), or just root/<class>/.

    Pictures are brought to ``size`` by their short side, cropped at the centre and held as bytes; class names
    are those of the folders, in order. Mean and deviation are those of the training part. From 1,000 pictures on,
    what has been decoded is kept for the next start (`codistill.data.kept`), until a file changes. For sets that do
    not fit into memory there is `imagenet`, of the same form.

    Args:
        root: The folder.
        download: There is nothing to download; an error where it is on.
        size: Height and width in pixels.
        grey: One channel in place of three.
        test: The fraction to test on where there is no folder for it: stratified, the same for everybody, one
            of each class at least.
        skip_bad: Leave out pictures that cannot be read, and classes without any, with a warning that counts them,
            in place of an error.

    Raises:
        FileNotFoundError: no such folder, or a class without pictures.
        ValueError: an option out of range, classes that differ between train and test, or a
            picture that cannot be read; names it.
    """
    form = Form(size, grey, skip_bad)
    nothing_to_fetch("folder", download, "name the folder that holds your pictures (--data-root FOLDER)")
    train_root, test_root = _parts(root)
    names = class_folders.classes(train_root, "folder")
    if test_root:
        others = class_folders.classes(test_root, "folder")
        class_folders.same_classes(train_root, test_root, names, others, "folder")
    train, left = _examples(train_root, names, names, form)
    train = train.of_classes([names.index(name) for name in left])
    if test_root:
        held, both = _examples(test_root, others, left, form)
        train, held = (part.of_classes([left.index(name) for name in both]) for part in (train, held))
        names = both
    else:
        names = left
        train, held = _hold_out(train, names, test)
    mean, std = channel_statistics(train.x)
    return DataSet(train, held, len(names), "classes", mean, std, names)


@dataclass(frozen=True)
class Form:
    """How pictures are read."""

    size: int
    grey: bool
    skip_bad: bool

    def __post_init__(self) -> None:
        whole("folder: size", self.size)
        for name in ("grey", "skip_bad"):
            flag(f"folder: {name}", getattr(self, name))

    def read(self, path: Path) -> Tensor:
        """One picture, ``[C, size, size]`` uint8; a ValueError that names it where it cannot be read."""
        from PIL import ImageOps

        return pixels(ImageOps.fit(open_picture(path, "L" if self.grey else "RGB"), (self.size, self.size)))

    def read_all(self, paths: Sequence[Path]) -> tuple[Tensor, Tensor]:
        """Those that can be read, ``[n, C, size, size]``, and which they are, ``[N]`` bool; the rest if allowed."""
        x = torch.empty(len(paths), 1 if self.grey else 3, self.size, self.size, dtype=torch.uint8)
        good = torch.ones(len(paths), dtype=torch.bool)

        def read(number: int) -> None:
            try:
                x[number] = self.read(paths[number])
            except Unreadable:
                if not self.skip_bad:
                    raise
                good[number] = False

        with ThreadPoolExecutor() as pool:
            for _ in pool.map(read, range(len(paths))):
                pass
        return x if good.all() else x[good], good

    def read_kept(self, root: Path, paths: Sequence[Path]) -> tuple[Tensor, Tensor]:
        """As `read_all`, from what an earlier start has kept."""
        if len(paths) < MANY:
            return self.read_all(paths)
        note = digest(map(stamp, paths))

        def make() -> tuple[dict[str, Tensor], str]:
            x, good = self.read_all(paths)
            return {"x": x, "good": good}, note

        found = kept("folder", root, (self.size, self.grey), fresh=note.__eq__, make=make)
        if not (self.skip_bad or found["good"].all()):
            return self.read_all(paths)  # which names the first
        return found["x"], found["good"]


def _parts(root: Path) -> tuple[Path, Path | None]:
    """Where the classes to learn from and to test on are; None where the test part has yet to be drawn."""
    if not root.is_dir():
        raise FileNotFoundError(
            f"folder: {root} is no folder: name the one that holds your pictures (--data-root FOLDER)"
        )
    test = next((root / name for name in TESTS if (root / name).is_dir()), None)
    train = root / "train"
    if test and not train.is_dir():
        raise ValueError(
            f"folder: {root} has {test.name}/ and no train/: add it, or put the classes straight into {root}"
        )
    return (train if train.is_dir() else root), test


def _examples(root: Path, there: Sequence[str], wanted: Sequence[str], form: Form) -> tuple[Examples, tuple[str, ...]]:
    """The examples of the wanted classes of a part, and the classes that have any."""
    found = {name: class_folders.pictures(root, name) for name in there}
    if not form.skip_bad:
        class_folders.without_empty(root, {name: len(found[name]) for name in there}, "folder", False)
    paths = [root / path for name in wanted for path in found[name]]
    x, good = form.read_kept(root, paths)
    if not good.all():
        bad = [path for path, fine in zip(paths, good.tolist(), strict=True) if not fine]
        class_folders.left_out("folder", f"of {len(paths)} pictures cannot be read", bad)
    y = torch.tensor([label for label, name in enumerate(wanted) for _ in found[name]], dtype=torch.int64)[good]
    counts = dict(zip(wanted, torch.bincount(y, minlength=len(wanted)).tolist(), strict=True))
    names = class_folders.without_empty(root, counts, "folder", form.skip_bad)
    return Examples(x, y), names


def _hold_out(examples: Examples, names: Sequence[str], fraction: float) -> tuple[Examples, Examples]:
    if not isinstance(fraction, float) or not 0 < fraction < 1:
        raise ValueError(f"folder: test={fraction!r}: give a fraction between 0 and 1, such as 0.2")
    size = max(round(fraction * len(examples)), len(names))
    train, test = map(examples.take, held_out(examples.y, size, "folder"))
    if lacking := set(range(len(names))) - set(train.y.tolist()):
        name = names[min(lacking)]
        raise ValueError(
            f"folder: test={fraction} leaves no picture of class {name!r} to learn from: add some or lower it"
        )
    return train, test
