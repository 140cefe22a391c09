"""Where the parts of a comparison are trained: in this process, or as tasks of Ray."""

from collections.abc import Collection, Generator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codistill.study import Study
    from codistill.training.records import Record


def compared(
    study: "Study",
    folder: Path,
    on: str | None,
    *,
    go_on: bool,
    command: str = "",
    trusted: Collection[str] | None,
) -> Generator["Record", None, None]:
    """The records of a study; see `codistill.study.compare` and `codistill.study.cluster.Ray`."""
    if on is None:
        from codistill.study import compare

        return compare(study, folder, go_on=go_on, command=command)
    from codistill.study.cluster import cluster

    return cluster(on).compare(study, folder, go_on=go_on, command=command, trusted=trusted)


def check_one_recipe(on: str | None) -> None:
    """Raises a ValueError where several recipes would be trained elsewhere."""
    if on is not None:
        raise ValueError(f"on={on!r} is for one recipe: give each a command of its own, with a --name in one folder")


__all__ = ["check_one_recipe", "compared"]
