"""Handwritten digits of 8x8 pixels that come with scikit-learn: nothing to download."""

from pathlib import Path

import torch

from codistill.data.examples import DataSet, Examples, channel_statistics
from codistill.data.split import deal
from codistill.randomness import generator

__all__ = ["digits"]

LEVELS = 16  # a pixel counts the ink in a block of 4x4 bits
TEST = 797  # of 1797; the other 1000 are the pool


def digits(root: Path | None = None, *, download: bool = False) -> DataSet:
    """1,797 grey digits, 8x8, 10 classes; bundled with scikit-learn, ready at once.

    A stratified test set of 797, the same for every seed; the other 1,000 are the pool. Pixels 0..16 are held
    as bytes, ``round(value * 255 / 16)``; mean and standard deviation are those of the pool. ``root`` and ``download``
    are not used. Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (its
    test part).
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = torch.from_numpy(bunch.images)[:, None].mul(255 / LEVELS).round().to(torch.uint8)
    examples = Examples(x, torch.from_numpy(bunch.target).long())
    test, train = map(examples.take, deal(examples.y, ((TEST, 1),), generator(0, "test set", "digits")))
    mean, std = channel_statistics(train.x)
    names = tuple(str(name) for name in bunch.target_names)
    return DataSet(train, test, len(names), "classes", mean, std, names)
