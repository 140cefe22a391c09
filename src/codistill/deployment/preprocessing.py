"""From what people have (files, images, arrays, texts) to what a network takes, as in training and evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from codistill.data.images.cut import Cut, open_image
from codistill.data.loader import normalise
from codistill.data.text.tokenizer import encode, library
from codistill.description import Description
from codistill.spec import WrongKind

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER = "tokenizer.json"
GREY, COLOUR = 1, 3  # channels of images that come from files


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """Raw inputs, one or a list of them, to a batch ``[N, *shape]``.

    Images: the path of a file, a PIL image, a tensor ``[C, H, W]`` or ``[N, C, H, W]``, an array ``[H, W, C]`` or
    ``[H, W]``; bytes are 0..255, floats 0..1. A file and a PIL image are brought to size as in training; tensors and
    arrays must have the size. Texts: a string. Token ids: a tensor ``[T]`` or ``[N, T]``.

    Attributes:
        about: what the networks take.
        tokenizer: of texts; None where the data were token ids.
    """

    about: Description
    tokenizer: "Tokenizer | None" = None

    @classmethod
    def of(cls, about: Description, folder: Path) -> "Preprocessing":
        """That of a run's folder.

        Raises:
            ImportError: its data were texts, and the `tokenizers` library is not installed.
            ValueError: the tokenizer's file is damaged.
        """
        path = folder / TOKENIZER
        if about.images or not path.is_file():
            return cls(about)
        reader = library().Tokenizer
        try:
            return cls(about, reader.from_file(str(path)))
        except Exception as error:  # the library raises nothing narrower
            raise ValueError(f"{path} is damaged ({error}): copy it again from where the run was trained") from error

    def __call__(self, inputs: Any) -> Tensor:
        """A batch ``[N, *shape]`` as the network takes it: normalised float images, or int64 token ids.

        Raises:
            WrongKind: an input is something else.
            ValueError: an image that cannot be read, or of another shape.
        """
        return self.normalised(self.raw(inputs))

    def normalised(self, x: Tensor) -> Tensor:
        """``(x - mean) / std`` of images ``[N, C, H, W]``, bytes on the 0..1 scale first; token ids as they are."""
        if not self.about.images:
            return x
        mean, std = (torch.tensor(v, device=x.device).view(-1, 1, 1) for v in (self.about.mean, self.about.std))
        x = normalise(x, mean, std)
        return x.double() if self.about.precision == "float64" else x

    def raw(self, inputs: Any) -> Tensor:
        """A batch ``[N, *shape]`` before it is normalised: bytes or floats on the 0..1 scale, or token ids."""
        axes = len(self.about.shape)
        if isinstance(inputs, Tensor) and inputs.ndim == axes + 1:
            return self._checked(inputs)
        many = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        if not many:
            raise ValueError("there is nothing to preprocess: give at least one input")
        if not self.about.images and all(isinstance(one, str) for one in many):
            return self._encoded(many)
        examples = [self._checked(self._example(one)[None]) for one in many]
        kinds = {example.dtype for example in examples}
        if len(kinds) > 1:  # bytes and floats on one scale
            examples = [e.float() / 255 if e.dtype == torch.uint8 else e.float() for e in examples]
        return torch.cat(examples)

    @property
    def cut(self) -> Cut:
        """How images come to their size.

        That of the data set; of data that came from no files the largest centre of the right shape is resized.

        Raises:
            ValueError: the networks take images that no file can hold.
        """
        channels, height, width = self.about.shape
        if channels not in (GREY, COLOUR):
            raise ValueError(f"these networks take images of {channels} channels: give tensors, not files")
        cut = self.about.cut or Cut(height, width)
        how = "fit" if cut.how == "same" or self.about.cut is None else cut.how  # of the right size it changes nothing
        return replace(cut, height=height, width=width, grey=channels == GREY, how=how)

    def _example(self, one: Any) -> Tensor:
        """One example, of a form to be checked."""
        if isinstance(one, Tensor):
            return one
        if not self.about.images:
            raise WrongKind(
                f"a {type(one).__name__} was given: these networks read texts (str), or token ids (a tensor)"
            )
        if isinstance(one, str | Path):
            return self.cut.apply(open_image(Path(one)))
        if isinstance(one, np.ndarray):
            image = torch.from_numpy(np.ascontiguousarray(one))
            return image[None] if image.ndim == 2 else image.permute(2, 0, 1)
        if hasattr(one, "mode") and hasattr(one, "convert"):
            return self.cut.apply(one)
        raise WrongKind(
            f"a {type(one).__name__} was given: these networks see images (a file's path, a PIL image, a tensor "
            "[C, H, W] or an array [H, W, C])"
        )

    def _checked(self, x: Tensor) -> Tensor:
        """A batch, or an error that says how its form or its values differ from those of training."""
        about = self.about
        kind = x.is_floating_point() or x.dtype == torch.uint8 if about.images else x.dtype == torch.int64
        if tuple(x.shape[1:]) != about.shape or not kind:
            form = "uint8 or floating (0..1)" if about.images else "int64"
            raise ValueError(
                f"an input is {x.dtype} of shape {list(x.shape[1:])}: these networks take {list(about.shape)}, {form}"
            )
        if x.is_floating_point() and about.dtype == "uint8" and x.numel() and not 0 <= x.min() <= x.max() <= 1:
            raise ValueError(
                f"floating images go from 0 to 1, these from {x.min():.3g} to {x.max():.3g}: give bytes (uint8) for "
                "0..255, and nothing that is normalised already"
            )
        return x

    def _encoded(self, texts: Sequence[str]) -> Tensor:
        if self.tokenizer is None:
            raise ValueError("these networks learned from token ids, without a tokenizer: give ids, a tensor [N, T]")
        return encode(self.tokenizer, texts)
