"""Any folder of pictures, a folder to each class."""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from codistill.data.examples import DataSet, Examples, channel_statistics
from codistill.data.split import held_out

__all__ = ["folder"]

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
TESTS = ("test", "val")  # the first that is there is taken


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
    are those of the folders, in order. Mean and deviation are those of the training part.

    Args:
        root: The folder.
        download: There is nothing to download; an error where it is on.
        size: Height and width in pixels.
        grey: One channel in place of three.
        test: The fraction to test on where there is no folder for it: stratified, the same for everybody, one
            of each class at least.
        skip_bad: Leave out pictures that cannot be read, with a warning that counts them, in place of an
            error.

    Raises:
        FileNotFoundError: no such folder, or a class without pictures.
        ValueError: an option out of range, classes that differ between train and test, or a
            picture that cannot be read; names it.
    """
    form = Form(size, grey, skip_bad)
    if download:
        raise ValueError("folder: download=True, and there is nothing to fetch: turn it off and name a folder")
    train_root, test_root = _parts(root)
    names = _classes(train_root)
    train = _examples(train_root, names, form)
    if test_root:
        if different := set(names) ^ set(_classes(test_root)):
            raise ValueError(
                f"{train_root} and {test_root.name}/ differ in classes: only one of them holds "
                f"{', '.join(sorted(different))}; add the rest or remove those"
            )
        held = _examples(test_root, names, form)
    else:
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
        if not isinstance(self.size, int) or self.size < 1:
            raise ValueError(f"folder: size={self.size!r}: give height and width in pixels, such as 32")
        for name in ("grey", "skip_bad"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"folder: {name}={getattr(self, name)!r}: use true or false")

    def read(self, path: Path) -> Tensor:
        """One picture, ``[C, size, size]`` uint8; a ValueError that names it where it cannot be read."""
        from PIL import Image, ImageOps

        try:
            with Image.open(path) as image:
                if image.mode.startswith(("I", "F")):  # would be clipped at 255, so turn white
                    raise ValueError(f"more than 8 bits to a pixel (mode {image.mode}): convert it")
                fitted = ImageOps.fit(image.convert("L" if self.grey else "RGB"), (self.size, self.size))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path} cannot be read ({error}): remove it, or set skip_bad=true") from error
        pixels = torch.frombuffer(bytearray(fitted.tobytes()), dtype=torch.uint8)
        return pixels.view(self.size, self.size, -1).permute(2, 0, 1).contiguous()

    def read_all(self, paths: Sequence[Path]) -> list[Tensor | None]:
        """All of them, None where one cannot be read and that is allowed."""

        def read(path: Path) -> Tensor | None:
            try:
                return self.read(path)
            except ValueError:
                if self.skip_bad:
                    return None
                raise

        with ThreadPoolExecutor() as pool:
            return list(pool.map(read, paths))


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


def _classes(root: Path) -> tuple[str, ...]:
    names = tuple(sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")))
    if not names:
        raise FileNotFoundError(f"folder: {root} holds no folders: put the pictures of each class into one of its own")
    if len(names) < 2:
        raise ValueError(f"folder: {root} holds one class only, {names[0]!r}: give two or more")
    return names


def _examples(root: Path, names: Sequence[str], form: Form) -> Examples:
    paths = [(path, y) for y, name in enumerate(names) for path in _pictures(root / name)]
    read = form.read_all([path for path, _ in paths])
    bad = [path for (path, _), image in zip(paths, read, strict=True) if image is None]
    if bad:
        some = ", ".join(map(str, bad[:3])) + (", ..." if len(bad) > 3 else "")
        warnings.warn(
            f"folder: {len(bad)} of {len(paths)} pictures cannot be read and are left out: {some}",
            stacklevel=2,
        )
    kept = [(image, y) for (_, y), image in zip(paths, read, strict=True) if image is not None]
    labels = torch.tensor([y for _, y in kept], dtype=torch.int64)
    for y, name in enumerate(names):
        if not (labels == y).any():
            raise ValueError(f"folder: no picture of class {name!r} can be read in {root / name}: replace or remove it")
    return Examples(torch.stack([image for image, _ in kept]), labels)


def _pictures(root: Path) -> list[Path]:
    found = sorted(path for path in root.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        raise FileNotFoundError(
            f"folder: class {root.name!r} has no pictures in {root}: add some "
            f"({', '.join(sorted(SUFFIXES))}) or remove it"
        )
    return found


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
