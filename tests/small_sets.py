"""Every data set that recipes name, as a few examples in the official files."""

import csv
import gzip
import struct
from pathlib import Path

import numpy as np

from small_images import omniglot_tree, save

WORDS = [
    "a",
    "dull",
    "film",
    "with",
    "lovely",
    "music",
    "and",
    "long",
    "good",
    "bad",
    "scenes",
    "that",
    "nobody",
    "will",
    "like",
    "or",
    "forget",
]


def cifar10(root: Path) -> None:
    """Two images of each class in each of the six files, in the binary form."""
    for seed, name in enumerate((*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")):
        labels = np.arange(20, dtype=np.uint8)[:, None] % 10
        _binary(root / "cifar-10-batches-bin" / f"{name}.bin", labels, seed)
    _names(root / "cifar-10-batches-bin" / "batches.meta.txt", 10)


def cifar100(root: Path) -> None:
    """Two images of each of the hundred classes to train on, one to test on, in the binary form."""
    for name, n in (("train", 200), ("test", 100)):
        fine = np.arange(n, dtype=np.uint8) % 100
        _binary(root / "cifar-100-binary" / f"{name}.bin", np.stack([fine // 5, fine], axis=1), n)
    _names(root / "cifar-100-binary" / "fine_label_names.txt", 100)
    _names(root / "cifar-100-binary" / "coarse_label_names.txt", 20)


def mnist(root: Path) -> None:
    """120 images to train on, 70 to test on."""
    home = root / "MNIST" / "raw"
    home.mkdir(parents=True)
    for name, n in (("train", 120), ("t10k", 70)):
        images = np.random.default_rng(n).integers(0, 256, (n, 28, 28), dtype=np.uint8)
        labels = np.arange(n, dtype=np.uint8) % 10
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            head = struct.pack(f">2xBB{values.ndim}I", 8, values.ndim, *values.shape)
            (home / f"{name}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + values.tobytes()))


def nsmc(root: Path, reviews: int = 120) -> None:
    """The tab separated files, half of the reviews praise."""
    (root / "nsmc").mkdir()
    for number, name in enumerate(("ratings_train.txt", "ratings_test.txt")):
        with (root / "nsmc" / name).open("w", encoding="utf-8", newline="") as file:
            lines = csv.writer(file, delimiter="\t", lineterminator="\n")
            lines.writerow(["id", "document", "label"])
            lines.writerows((i, _review(1000 * number + i), i % 2) for i in range(reviews))


def imdb(root: Path, reviews: int = 40) -> None:
    """One file for each review, in folders by what they say."""
    for part in ("train", "test"):
        for seed, (label, stars) in enumerate((("neg", 2), ("pos", 9))):
            home = root / "aclImdb" / part / label
            home.mkdir(parents=True)
            for i in range(reviews):
                (home / f"{i}_{stars}.txt").write_text(_review(100 * seed + i), encoding="utf-8")


def market1501(root: Path, learnt: int = 12, sought: int = 4) -> None:
    """Persons on four images each, by two cameras; others for retrieval, and a distractor."""
    home = root / "Market-1501-v15.09.15"
    for person in range(1, learnt + 1):
        for i in range(4):
            _box(home / "bounding_box_train", person, i)
    for person in range(learnt + 1, learnt + sought + 1):
        _box(home / "query", person, 0)
        for i in range(1, 4):
            _box(home / "bounding_box_test", person, i)
    _box(home / "bounding_box_test", 0, 0)


def omniglot(root: Path) -> None:
    """31 alphabets of two characters, so that there is one more than ten to test on and twenty to learn."""
    omniglot_tree(root, alphabets=31, characters=2, drawers=12)


def digits(root: Path) -> None:
    """They come with scikit-learn."""


def _box(folder: Path, person: int, number: int) -> None:
    save(folder / f"{person:04}_c{number % 2 + 1}s1_{number:06}_00.jpg", seed=10 * person + number, size=(64, 128))


def _binary(path: Path, labels: np.ndarray, seed: int) -> None:
    path.parent.mkdir(exist_ok=True)
    rows = np.random.default_rng(seed).integers(256, size=(len(labels), 3072), dtype=np.uint8)
    path.write_bytes(np.concatenate([labels.astype(np.uint8), rows], axis=1).tobytes())


def _names(path: Path, n: int) -> None:
    path.write_text("\n".join(f"thing{i}" for i in range(n)))


def _review(seed: int) -> str:
    drawn = np.random.default_rng(seed)
    return " ".join(drawn.choice(WORDS, int(drawn.integers(3, 30))))
