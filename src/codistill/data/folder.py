"""Any folder of images, a folder to each class."""

from collections.abc import Sequence
from pathlib import Path

from codistill.checks import flag, whole
from codistill.data.download import nothing_to_fetch
from codistill.data.examples import DataSet, Examples, channel_statistics
from codistill.data.grouping import groups_of_files
from codistill.data.images import class_folders
from codistill.data.images.cut import Cut
from codistill.data.images.lazy import decoded
from codistill.data.split import hold_out

__all__ = ["folder"]

TESTS = ("test", "val")  # the first that exists is taken


def folder(
    root: Path,
    *,
    download: bool = False,
    size: int = 32,
    grey: bool = False,
    test: float = 0.2,
    group: str | None = None,
    skip_bad: bool = False,
) -> DataSet:
    """Your own images: root/train/<class>/ and root/test/<class>/ (or val), or just root/<class>/.

    Images are resized to ``size`` by their short side, cropped at the centre and held as bytes; class names
    are those of the folders, in order. Mean and standard deviation are those of the training part. From 1,000 images
    on, what has been decoded is cached for the next start (`codistill.data.disk_cache`), until a file changes. For
    sets that do not fit into memory there is `imagenet`, of the same form.

    Args:
        root: The folder.
        download: There is nothing to download; an error where it is on.
        size: Height and width in pixels.
        grey: One channel in place of three.
        test: The fraction to test on where there is no folder for it; see `codistill.data.split.hold_out`.
        group: Whose each image to train on is, such as a clinic's, for ``shards=groups``: ``folder``, where the folder
            below the class says it (<class>/<group>/1.png), or a CSV file with the columns path (below the classes'
            folder) and group.
        skip_bad: Leave out images that cannot be read, and classes without any, with a warning that counts them.

    Raises:
        FileNotFoundError: no such folder, or a class without images.
        ValueError: an option out of range, classes that differ between the two, or an unreadable image; names it.
    """
    nothing_to_fetch("folder", download, "the folder that holds your images")
    whole("folder: size", size), flag("folder: grey", grey), flag("folder: skip_bad", skip_bad)
    cut = Cut(size, size, grey, how="fit")
    train_root, test_root = _folders(root)
    names = class_folders.shared_classes(train_root, test_root, "folder")
    train, names, groups = _examples(train_root, names, cut, skip_bad, group)
    if test_root is not None:
        held, both, _ = _examples(test_root, names, cut, skip_bad)
        train, names = train.of_classes([names.index(name) for name in both]), both
    else:
        train, held = map(train.take, hold_out("folder", train.y, names, test))
    mean, std = channel_statistics(train.x)
    return DataSet(train, held, len(names), "classes", mean, std, names, groups=groups, cut=cut)


def _folders(root: Path) -> tuple[Path, Path | None]:
    """The folders of classes for training and testing; None where the test part is to be held out."""
    if not root.is_dir():
        ways = "name the one that holds your images (--data-root FOLDER)"
        raise FileNotFoundError(f"folder: {root} is not a folder: {ways}")
    test = next((root / name for name in TESTS if (root / name).is_dir()), None)
    train = root / "train"
    if test and not train.is_dir():
        ways = f"add it, or put the classes directly into {root}"
        raise ValueError(f"folder: {root} has {test.name}/ but no train/: {ways}")
    return (train if train.is_dir() else root), test


def _examples(
    root: Path, names: Sequence[str], cut: Cut, skip_bad: bool, group: str | None = None
) -> tuple[Examples, tuple[str, ...], tuple[str, ...]]:
    """The examples of some classes, those of the classes that have any, and the names of the groups."""
    files, y = class_folders.listed(root, names, {})
    if not skip_bad:
        class_folders.without_empty(root, names, y, "folder", False)  # known before an image is read
    x, good = decoded(files, cut, "folder", skip_bad)
    number, groups = (None, ()) if group is None else groups_of_files("folder", files.take(good), str(group))
    examples, full = class_folders.of_full_classes(Examples(x, y[good], number), root, names, "folder", skip_bad)
    return examples, full, groups
