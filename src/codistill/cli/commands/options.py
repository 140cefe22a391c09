"""What several commands have in common: the types of their options, and whom they trust."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

Mesh = Annotated[str | None, arg(metavar="MESH")]
Track = tuple[Literal["tensorboard", "wandb", "mlflow"], ...]
RunFolder = Annotated[Path, arg(metavar="RUN", help="Folder of a run, or of one or several comparisons.")]


def trusting(trust: bool) -> AbstractContextManager[None]:
    """What is imported of the modules that a folder names: any, or none."""
    from codistill import discovery

    return discovery.trusting(None if trust else ())
