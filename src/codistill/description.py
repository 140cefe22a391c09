"""``networks.json``: what a run's folder says of its networks, so that they can be used without their training data."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Literal, get_args, get_type_hints

import torch
from torch import nn

from codistill import files, models
from codistill.checks import one_of, whole
from codistill.data.examples import TASKS
from codistill.data.images.cut import Cut
from codistill.jsonable import from_json, to_json
from codistill.spec import Spec

FILE = "networks.json"
FORMAT = 1  # of the file: raise it where older versions could not read it
PYTHON = "python"  # the name of data and networks that were given in Python, ``python:MyNet``
DTYPES = {"uint8": torch.uint8, "float32": torch.float32, "int64": torch.int64}


@dataclass(frozen=True)
class Network:
    """One network of a run's folder; the checkpoint numbers them in the same order.

    Attributes:
        run: number of its run in the folder.
        peer: its number in its run.
        method: of the run.
        seed: of the run.
        model: its spec, without what it started from; ``python:Net`` where it was given in Python.
        kind: what it is called in tables.
        retraining: of the run.
        config: the folder, within the run's, of the config of a network of transformers.
        base: the hub's name of the model whose weights it started from; empty: none, or those of a folder.
    """

    run: int
    peer: int
    method: str
    seed: int
    model: str
    kind: str
    retraining: int = 0
    config: str = ""
    base: str = ""

    @property
    def given(self) -> bool:
        """Whether it was given in Python, so that no spec can rebuild it."""
        return Spec.of(self.model).name == PYTHON


@dataclass(frozen=True)
class Description:
    """What goes into a folder's networks, what comes out, and how to rebuild them.

    Attributes:
        task: one of `codistill.data.examples.TASKS`.
        classes: outputs of a network.
        names: of the classes; may be empty.
        shape: of one example, ``[C, H, W]`` or ``[T]``.
        dtype: of the examples before they are normalised: uint8 or float32 (images), int64 (token ids).
        mean: per channel, on the 0..1 scale; empty for token ids.
        std: as `mean`.
        data: the data set's spec; ``python`` where it was given in Python.
        networks: in the order of the checkpoint's.
        cut: how an image file becomes an example; None: not from files.
        vocabulary: number of token ids.
        embedding: the submodule whose output is the embedding, of retrieval data.
        precision: of the networks, as of `Run.precision`.
        versions: of what trained them.
        format: of the file.

    Raises:
        ValueError: on construction, for values that do not fit each other.
    """

    task: str
    classes: int
    names: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: Literal["uint8", "float32", "int64"]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    data: str
    networks: tuple[Network, ...]
    cut: Cut | None = None
    vocabulary: int | None = None
    embedding: str | None = None
    precision: str = "float32"
    versions: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.format > FORMAT:
            raise ValueError(f"format={self.format}: it was written by a newer version; install a newer codistill")
        one_of("task", self.task, TASKS)
        one_of("dtype", self.dtype, DTYPES)
        whole("classes", self.classes)
        axes = 1 if self.dtype == "int64" else 3
        if len(self.shape) != axes:
            raise ValueError(f"shape={list(self.shape)}: {self.dtype} examples have {axes} axes")
        for length in self.shape:
            whole("shape", length)
        named = 2 if self.task == "binary" else self.classes
        if self.names and len(self.names) != named:
            raise ValueError(f"names has {len(self.names)} entries for {named} classes")
        channels = self.shape[0] if axes == 3 else 0
        for setting, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != channels or not all(isinstance(v, int | float) and isfinite(v) for v in values):
                raise ValueError(f"{setting}={list(values)}: {channels} finite numbers belong there")
        if not all(value > 0 for value in self.std):
            raise ValueError(f"std={list(self.std)}: every value must be above 0")
        if not self.networks or not all(isinstance(network, Network) for network in self.networks):
            raise ValueError("networks is not a list of networks")
        for network in self.networks:
            whole("peer", network.peer, 0)
            Spec.of(network.model)
            if Path(network.config).is_absolute() or ".." in Path(network.config).parts:
                raise ValueError(f"config={network.config!r} is outside of the folder")
        if self.cut is not None:
            one_of("cut: how", self.cut.how, get_args(get_type_hints(Cut)["how"]))

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the values that a label may have: those of the classes, or their numbers."""
        return self.names or tuple(map(str, range(TASKS[self.task].values or self.classes)))

    @property
    def images(self) -> bool:
        """Whether examples are images, not token ids."""
        return self.dtype != "int64"

    def network(self, number: int, folder: Path, *, trust: bool) -> nn.Module:
        """The network of a number, untrained: no start is read, nothing is downloaded.

        Args:
            number: as the checkpoint counts.
            folder: the run's.
            trust: whether a module of the user's own may be imported, which runs its code.

        Raises:
            ValueError: it was given in Python, or its module is not trusted.
        """
        network = self.networks[number]
        if network.given:
            raise ValueError(
                f"network {number} of {folder} ({network.kind}) was given in Python and cannot be rebuilt from its "
                "folder: give it again, networks=[...]"
            )
        spec = Spec.of(network.model)
        if network.config:
            spec = Spec(spec.name, (str(folder / network.config), *spec.args[1:]), spec.options)
        known = {} if self.vocabulary is None else {"vocabulary": self.vocabulary}
        return models.architecture(spec, self.classes, self.shape, known, trust=trust)


def write_description(folder: Path, description: Description) -> None:
    """Write the file of a folder, whole or not at all."""
    files.write_json(folder / FILE, to_json(description))


def read_description(folder: Path) -> Description:
    """What a run's folder says of its networks.

    Raises:
        FileNotFoundError: it is no run's folder, or older versions made it.
        ValueError: the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        if (folder / "runs.json").is_file():
            raise FileNotFoundError(
                f"{path} is missing, without which nobody knows the classes and the input of these networks (versions "
                f"before this one did not write it): where the training data are, codistill resume {folder} adds it"
            )
        raise FileNotFoundError(f"{folder} is not the folder of a run: {path} is missing")
    values = files.read_json(path)
    try:
        return from_json(Description, values)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}): copy it again from where the run was trained") from error


def versions() -> dict[str, str]:
    """Versions of what trained networks, or made numbers."""
    return {"codistill": version("codistill"), "torch": torch.__version__, "python": platform.python_version()}
