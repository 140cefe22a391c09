"""Small picture files in the official layouts."""

import os
import time
from pathlib import Path

import numpy as np
from PIL import Image


def save(path: Path, seed: int = 0, size: tuple[int, int] = (40, 30), level: int | None = None) -> Path:
    """A picture of noise, or of one grey level; width and height in ``size``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise if level is None else np.full_like(noise, level)).save(path, quality=95)
    return path


def spoil(path: Path) -> Path:
    """Cut a picture short in the middle of its pixels."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def imagenet_tree(root: Path, classes: int = 3, train: int = 8, val: int = 4) -> Path:
    """Photos of different sizes in ``train/<wnid>`` and ``val/<wnid>``, as the official archives unpack to."""
    for label in range(classes):
        wnid = f"n{1440764 + label:08}"
        for i in range(train):
            save(root / "train" / wnid / f"{wnid}_{i}.JPEG", seed=100 * label + i, size=(40 + i, 30 + 2 * label))
        for i in range(val):
            name = f"ILSVRC2012_val_{label * val + i + 1:08}.JPEG"
            save(root / "val" / wnid / name, seed=9000 + 100 * label + i, size=(34, 50))
    return root


def market_tree(root: Path) -> Path:
    """Two persons to learn, two to search for, junk, a distractor and the official set's stray files."""
    names = {
        "bounding_box_train": ["0002_c1s1_000451_03.jpg", "0002_c2s1_000452_01.jpg", "0007_c3s2_000453_02.jpg"],
        "query": ["0001_c1s1_001051_00.jpg", "0003_c6s3_001052_00.jpg"],
        "bounding_box_test": [
            "-1_c1s1_000401_03.jpg",
            "0000_c4s6_000151_01.jpg",
            "0001_c1s1_001051_03.jpg",
            "0001_c5s1_001053_01.jpg",
            "0003_c2s3_001054_02.jpg",
        ],
        "gt_bbox": [
            "0001_c1s1_001051_00.jpg",
            "0001_c1s2_001060_00.jpg",
            "0001_c5s2_001061_00.jpg",
            "0002_c1s1_000451_00.jpg",
            "0003_c6s3_001052_00.jpg",
        ],
    }
    for number, (folder, files) in enumerate(names.items()):
        for i, name in enumerate(files):
            save(root / folder / name, seed=10 * number + i, size=(64, 128))
        (root / folder / "Thumbs.db").write_bytes(b"not a picture")
    return root


def omniglot_tree(root: Path, alphabets: int = 4, characters: int = 2, drawers: int = 20) -> Path:
    """Black strokes on white paper, one bit each: a bar whose place tells the character."""
    home = root / "omniglot-py" / "images_background"
    for a in range(alphabets):
        for c in range(characters):
            for d in range(1, drawers + 1):
                paper = np.ones((105, 105), dtype=bool)
                paper[10 * (c + 1) : 10 * (c + 1) + 8, 10:95] = False
                path = home / f"Alphabet{a}" / f"character{c + 1:02}" / f"{a * characters + c + 1:04}_{d:02}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(paper).save(path)
    return home


def age(root: Path, seconds: float = 60) -> None:
    """Let everything below a folder have been changed so long ago."""
    then = time.time() - seconds
    for path in [root, *root.rglob("*")]:
        os.utime(path, (then, then))
