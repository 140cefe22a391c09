"""Small Hugging Face data sets, made on the spot; for tests that have asked for `datasets` and Pillow first."""

import io

import datasets
from PIL import Image


def apart(folder, monkeypatch):
    """What is kept and what the library caches lies below a folder; nothing shows its progress."""
    monkeypatch.setenv("CODISTILL_CACHE", str(folder / "kept"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def reviews(count=20, label=None):
    texts = [f"good film {i}" if i % 2 else f"bad film {i}" for i in range(count)]
    return texts_with([i % 2 for i in range(count)], label, texts)


def texts_with(labels, label=None, texts=None):
    """A text for each label, of classes neg and pos or of another kind."""
    kinds = {"text": datasets.Value("string"), "label": label or datasets.ClassLabel(names=["neg", "pos"])}
    texts = texts or [f"film {i}" for i in range(len(labels))]
    return datasets.Dataset.from_dict({"text": texts, "label": labels}, features=datasets.Features(kinds))


def pictures(sizes, mode="L", labels=None):
    colour = {"L": lambda i: i, "RGB": lambda i: (i, 2 * i, 3 * i)}[mode]
    images = [Image.new(mode, (size, size), colour(i)) for i, size in enumerate(sizes)]
    return pictures_of(images, labels or ["dog", "cat"] * (len(images) // 2))


def pictures_of(images, labels):
    """Pictures, None for none, or bytes that are no picture, each with a label."""
    images = [{"bytes": image, "path": None} if isinstance(image, bytes) else image for image in images]
    kinds = datasets.Features({"img": datasets.Image(), "what": datasets.Value("string")})
    return datasets.Dataset.from_dict({"img": images, "what": labels}, features=kinds)


def png(size, colour):
    """The bytes of a picture, as files hold them."""
    into = io.BytesIO()
    Image.new("L", (size, size), colour).save(into, "png")
    return into.getvalue()
