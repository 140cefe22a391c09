"""Examples as people look at them: images as PNG, texts as text."""

import base64
import io
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from codistill.data.examples import DataSet, Examples
from codistill.data.loader import plain
from codistill.data.text.tokenizer import decoded


def images_of(examples: Examples, index: Tensor) -> Tensor | None:
    """Images ``[n, C, H, W]`` on the 0..1 scale; None of texts and tables.

    Args:
        examples: a part of the data.
        index: the numbers of those that are wanted, ``[n]``.
    """
    if examples.x.ndim != 4:
        return None
    channels = examples.x.shape[1]
    batches = plain(examples.take(index), mean=(0.0,) * channels, std=(1.0,) * channels, batch=max(1, len(index)))
    return torch.cat([x.cpu() for x, _ in batches] or [torch.zeros(0, channels, 1, 1)])


def texts_of(dataset: DataSet, examples: Examples, index: Tensor) -> list[str]:
    """Texts from their token ids; the ids themselves where there is no tokenizer. Of images, empty."""
    if examples.x.ndim == 4:
        return [""] * len(index)
    ids = [[i for i in row if i] for row in examples.take(index).x.tolist()]  # type: ignore[union-attr]
    if dataset.text is None or not dataset.text.tokenizer:
        return [" ".join(map(str, row)) for row in ids]
    return decoded(dataset.text.tokenizer, ids)


def png_address(image: Tensor, side: int | None = None) -> str:
    """An image as a data address, which a page can hold.

    Args:
        image: ``[C, H, W]`` on the 0..1 scale, of 1 or 3 channels; of others the first is taken.
        side: pixels of the longer side at most; None: as it is.
    """
    pixels = (image if len(image) == 3 else image[:1]).clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    if side is not None:
        picture.thumbnail((side, side))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def shortened(texts: Sequence[str], letters: int) -> list[str]:
    """The beginnings of texts."""
    return [text if len(text) <= letters else text[: letters - 1].rstrip() + "…" for text in texts]
