"""Any data set of the Hugging Face hub, or of a folder in one of its forms, by the `datasets` library."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codistill.checks import flag, whole
from codistill.data.examples import DataSet, Examples, channel_statistics
from codistill.data.huggingface.columns import Columns, Split
from codistill.data.huggingface.hub import folder_of, load_splits
from codistill.data.huggingface.images import read_images
from codistill.data.images.cut import Cut
from codistill.data.split import hold_out
from codistill.data.text.rows import class_numbers
from codistill.data.text.token_ids import TextOptions, Texts, takes_text_options, text_data
from codistill.spec import UnknownName

__all__ = ["hf"]

TESTS = ("test", "validation")  # the first that exists is taken
FIFTH = 0.2  # held out where there is none


@takes_text_options()
def hf(
    name: str,
    root: Path,
    texts: TextOptions,
    *,
    download: bool = False,
    text: str | None = None,
    image: str | None = None,
    label: str | None = None,
    config: str | None = None,
    train: str = "train",
    test: str | float | None = None,
    size: int | None = None,
    grey: bool | None = None,
    skip_bad: bool = False,
) -> DataSet:
    """Any Hugging Face data set of texts or images: hf:NAME, on the hub or in a folder.

    A folder is one that ``save_to_disk`` made, or one of files that ``load_dataset`` reads (Parquet, CSV). All of it
    is loaded into memory; images as bytes, their mean and standard deviation those of the training split. From 1,000
    images on, what has been decoded is cached for the next start (`codistill.data.disk_cache`), until the data or an
    option changes. A label that is -1 or missing means unlabelled: such a row is trained on without it, and cannot be
    tested on. Nothing that is read can run code.

    Args:
        name: On the hub, such as stanfordnlp/imdb; or a folder, by its path or below root.
        download: Fetch what is not on this machine.
        text: The column of texts; None: the only one of strings.
        image: The column of images; None: the only one, if there is any.
        label: None: the column called label or labels, else the only one of classes.
        config: Which of a data set's configurations.
        train: The split to train on.
        test: A split, or the fraction to hold out; None: test or validation, else a fifth.
        size: To which images are resized and cropped at the centre; None: they are of one size.
        grey: One channel; None: as the first image has it.
        skip_bad: Leave out rows that cannot be used, with a warning that counts them.

    Raises:
        FileNotFoundError: it is not on this machine and ``download`` is off.
        OSError: the hub cannot be reached.
        ValueError: an option out of range; an unknown split, column or label, or a row that cannot be used; names it.
        ImportError: `datasets` is not installed.
    """
    flag("hf: skip_bad", skip_bad)
    if grey is not None:
        flag("hf: grey", grey)
    if size is not None:
        whole("hf: size", size)
    cut, name = Cut(size or 0, size or 0, grey, how="same" if size is None else "fit"), str(name)
    splits = load_splits(name, root, config, download)
    learned = _split(splits, train, name, config)
    if test is None:
        test = next((split for split in TESTS if split in splits and split != train), FIFTH)
    columns = Columns.choose(name, learned.rows.features, text, image, label)
    reader = Reader(columns, cut, skip_bad, folder_of(name, root) or root / name)
    held = _split(splits, test, name, config) if isinstance(test, str) else test
    return reader.data_set(learned, held, texts, root)


@dataclass(frozen=True)
class Reader:
    """How the splits of a data set are read; a split's rows are counted as they are there, from 0."""

    columns: Columns
    cut: Cut
    skip_bad: bool
    folder: Path

    def data_set(self, train: Split, test: Split | float, texts: TextOptions, root: Path) -> DataSet:
        """The data set of two splits, or of one and the fraction of it to hold out."""
        x, labels = self.read(train)
        names = self.columns.names(train, labels)
        y = torch.tensor(class_numbers(labels, names))
        if isinstance(test, Split):
            test_x, test_labels = self.like(x).read(test, names)
            test_y = torch.tensor(class_numbers(test_labels, names))
        else:
            (x, y), (test_x, test_y) = ((_take(x, index), y[index]) for index in hold_out("hf", y, names, test))
        if not self.columns.images:
            return text_data(Texts(x, y.tolist()), Texts(test_x, test_y.tolist()), names, texts, root)
        statistics = channel_statistics(x)
        data = DataSet(Examples(x, y), Examples(test_x, test_y), len(names), "classes", *statistics, names)
        return replace(data, cut=self.like(x).cut)

    def like(self, x: Any) -> "Reader":
        """The same, that gives images the size and channels of others ``[N, C, H, W]``."""
        if not self.columns.images:
            return self
        _, channels, height, width = x.shape
        return replace(self, cut=replace(self.cut, height=height, width=width, grey=channels == 1))

    def read(self, split: Split, names: Sequence[str] | None = None) -> tuple[Any, list[str | None]]:
        """The inputs of the rows that can be used, images or texts; and what each says of its class.

        Args:
            split: To train or to test on.
            names: The classes, where it is to test on.
        """
        columns = self.columns
        labels, faults = columns.labels(split) if names is None else columns.test_labels(split, names)
        if not self.skip_bad:
            split.usable(faults, False)  # which is known before an image is read
        x: Any
        if columns.images:
            x, unread = read_images(split, columns.x, self.cut, self.skip_bad, self.folder)
        else:
            x, unread = columns.texts(split)
        rows = split.usable(unread | faults, self.skip_bad)
        return _take(x, torch.tensor(rows)), [labels[row] for row in rows]


def _take(x: Any, index: Tensor) -> Any:
    """Some images or texts, in that order."""
    return x[index] if isinstance(x, Tensor) else [x[row] for row in index.tolist()]


def _split(splits: Mapping[str, Any], name: str, data: str, config: str | None) -> Split:
    """A split by its name; an UnknownName with the nearest where there is none."""
    if name not in splits:
        raise UnknownName(f"split of {data}", name, splits)
    return Split(name, splits[name], config)
