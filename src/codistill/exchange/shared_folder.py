"""Peers of processes that run each at its own pace, and meet in a folder of a file system that all of them see."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from codistill import files
from codistill.checks import whole

KEPT = 2  # files of a peer: a slow reader may still be at the one before the newest
NAME = re.compile(r"peer-(\d+)\.step-(\d+)\.safetensors")


class Published(NamedTuple):
    """What a peer has left in the folder: its weights after so many steps, and when."""

    step: int
    written: float  # seconds since 1970, by its own clock
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class SharedFolder:
    """A folder in which processes leave the weights of the peers that they train, and find those of the others.

    There is no server, and nobody waits: who has not written yet, or writes no more, is imitated as it was last seen,
    at first with its initial weights. A file is written beside its place and renamed, so it is whole or not there.

    Attributes:
        folder: the same for all processes.
        own: the peers that this process trains.
        every: steps between two exchanges.
    """

    folder: Path
    own: tuple[int, ...]
    every: int = 50

    def __post_init__(self) -> None:
        whole("share_every", self.every)
        for peer in self.own:
            whole("own", peer, 0)

    def publish(self, peer: int, step: int, tensors: Mapping[str, Tensor], run: str) -> None:
        """Leave a peer's weights after so many steps; its older files are removed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        copies = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
        with files.draft(self.folder / f"peer-{peer}.step-{step:08d}.safetensors") as beside:
            save_file(copies, beside, {"run": run, "written": repr(time.time())})
        for _, old in sorted(self._files(peer))[:-KEPT]:
            old.unlink(missing_ok=True)

    def newest(self, peer: int, run: str) -> Published | None:
        """The newest weights of a peer that can be read; None where there are none.

        Raises:
            ValueError: they are those of another run.
        """
        for step, path in sorted(self._files(peer), reverse=True):
            try:
                with safe_open(path, "pt") as file:
                    about = file.metadata() or {}
                tensors = load_file(path)
                written = float(about["written"])
            except (SafetensorError, OSError, KeyError, ValueError):  # removed meanwhile, or damaged
                continue
            if about.get("run") != run:
                raise ValueError(f"{path} is of a run with other settings: choose another shared folder, or empty it")
            return Published(step, written, tensors)
        return None

    def _files(self, peer: int) -> list[tuple[int, Path]]:
        found = [(NAME.fullmatch(path.name), path) for path in self.folder.glob(f"peer-{peer}.step-*.safetensors")]
        return [(int(match[2]), path) for match, path in found if match]

    def to_json(self) -> Mapping[str, Any]:
        """For ``shared.json``."""
        return {"folder": str(self.folder.absolute()), "own": list(self.own), "every": self.every}

    @classmethod
    def from_json(cls, settings: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`."""
        return cls(Path(settings["folder"]), tuple(settings["own"]), settings["every"])
