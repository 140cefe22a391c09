"""How a program that has nothing of this package makes a network's input of a file: model cards show these functions.

They read ``config.json`` of an export, and give what `Preprocessing` gives, to rounding.
"""

from typing import Any

import numpy as np
from PIL import Image, ImageOps


def read_image(path: str, config: Any) -> Any:
    """An image file as the network's input, [1, C, H, W]."""
    with Image.open(path) as file:
        image = file.copy()
    for step in config["input"]["steps"]:
        w, h = image.size
        if step["do"] == "convert":
            image.info.pop("transparency", None)
            image = image.convert(step["mode"])
        elif step["do"] == "invert":
            image = ImageOps.invert(image)
        elif step["do"] == "resize":
            height, width = step.get("size") or [max(step["short_side"] * side // min(w, h), 1) for side in (h, w)]
            box_w, box_h = w, h
            if step["of"] == "largest centre":
                box_w, box_h = min(w, width / height * h), min(h, w / (width / height))
            left, top = (w - box_w) / 2, (h - box_h) / 2
            how = Image.Resampling[step["interpolation"].upper()]
            image = image.resize((width, height), how, (left, top, left + box_w, top + box_h))
        elif step["do"] == "crop":
            height, width = step["size"]
            left, top = round((w - width) / 2), round((h - height) / 2)
            image = image.crop((left, top, left + width, top + height))
    x = np.asarray(image, np.uint8).reshape(image.height, image.width, -1).transpose(2, 0, 1)[None]
    return as_input(x, config["input"])


def as_input(x: Any, form: Any) -> Any:
    """Bytes [N, C, H, W] as the network takes them: as they are, on the 0..1 scale, or normalised."""
    if form["dtype"] == "uint8":
        return x
    x = x.astype(np.float32) / 255
    if form["normalised_by"] == "the caller":
        mean, std = (np.array(form[name], np.float32).reshape(-1, 1, 1) for name in ("mean", "std"))
        x = (x - mean) / std
    return x


def read_texts(texts: list[str], tokenizer: Any, config: Any) -> Any:
    """Texts as the network's input, token ids [N, T]; tokenizer.json says how long and how they are padded."""
    tokenizer.encode_special_tokens = True
    ids = np.array([row.ids for row in tokenizer.encode_batch(texts)], np.int64)
    empty = (ids == config["input"]["padding"]).all(axis=1)
    ids[empty, 0] = config["input"]["unknown"]
    return ids
