"""``codistill list``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from tyro.conf import Positional

if TYPE_CHECKING:
    from rich.console import Console

What = Literal[
    "methods",
    "models",
    "data",
    "recipes",
    "divergences",
    "targets",
    "selections",
    "graphs",
    "augmentations",
    "shards",
    "noise",
    "schedules",
]


@dataclass
class List:
    """List methods, models, data sets, recipes, or what else a setting may name."""

    what: Positional[What | None] = None
    """What to list. Left out: what can be listed."""

    def __call__(self, console: "Console", command: str) -> None:
        from codistill.cli.listing import listing

        if self.what is None:
            console.print("\n".join(f"codistill list {what}" for what in get_args(What)))
        else:
            console.print(listing(self.what))
