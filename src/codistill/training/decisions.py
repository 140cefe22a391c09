"""What every network of a folder decides on each example, kept so that networks can be compared example by example."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from codistill import files
from codistill.metrics.calibration import reliability
from codistill.metrics.decisions import class_logits, labelled_decisions

NAME = "decisions.safetensors"
AGAIN = "codistill resume {} writes it again"


@dataclass(frozen=True, eq=False)
class Decisions:
    """The labelled decisions of a run's networks on one part of the data.

    Attributes:
        classes: which class, ``[P, n]``.
        labels: the right one, ``[n]``.
        bins: of each network's confidences, see `reliability`, ``[P, bins, 3]``; None in older files.
    """

    classes: Tensor
    labels: Tensor
    bins: Tensor | None = None

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor, task: str = "classes") -> "Decisions":
        """From outputs ``[P, N, C]`` and labels ``[N]``, or those of another task; see `labelled_decisions`."""
        flat, y = labelled_decisions(class_logits(logits, task), labels)
        classes, right = (_small(numbers, flat.shape[-1]) for numbers in (flat.argmax(-1), y))
        return cls(classes, right, torch.stack([reliability(each, y).float() for each in flat]).cpu())

    def only(self, peers: Sequence[int]) -> "Decisions":
        """Those of some of the networks."""
        rows = list(peers)
        return Decisions(self.classes[rows], self.labels, None if self.bins is None else self.bins[rows])

    @property
    def correct(self) -> Tensor:
        """Whether each is right, ``[P, n]``."""
        return self.classes == self.labels


def _small(numbers: Tensor, classes: int) -> Tensor:
    """Class numbers in a byte each where there are no more than 256."""
    return numbers.to("cpu", torch.uint8 if classes <= 256 else torch.int32)


def write_decisions(folder: Path, decisions: Mapping[int, Decisions]) -> None:
    """The file of a folder, whole or not at all: the decisions of its runs, by number."""
    named = ((f"{number}.{name}", tensor) for number, each in decisions.items() for name, tensor in vars(each).items())
    with files.draft(folder / NAME) as draft:
        try:
            copies = {name: tensor.clone() for name, tensor in named if tensor is not None}
            save_file(copies, draft, metadata={"sha256": _hash(copies)})
        except SafetensorError as error:
            raise OSError(f"{folder / NAME} cannot be written ({error})") from error


def read_decisions(folder: Path) -> dict[int, Decisions]:
    """The decisions of a folder's runs, by number; none where there is no file.

    Raises:
        Damaged: names the file.
    """
    path = folder / NAME
    if not path.exists():
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            known = (file.metadata() or {}).get("sha256")
        numbers = sorted({int(name.partition(".")[0]) for name in tensors})
        found = {
            number: Decisions(tensors[f"{number}.classes"], tensors[f"{number}.labels"], tensors.get(f"{number}.bins"))
            for number in numbers
        }
    except (SafetensorError, ValueError, KeyError) as error:
        raise files.Damaged(f"{path} is damaged ({error}): {AGAIN.format(folder)}") from error
    if known not in (None, _hash(tensors)):
        raise files.Damaged(f"{path} is damaged: its SHA-256 is another: {AGAIN.format(folder)}")
    return found


def _hash(tensors: Mapping[str, Tensor]) -> str:
    """Of names, kinds, shapes and values."""
    sum_ = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        sum_.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        sum_.update(tensor.numpy().tobytes())
    return sum_.hexdigest()


__all__ = ["Decisions", "read_decisions", "write_decisions"]
