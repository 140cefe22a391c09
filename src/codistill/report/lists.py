"""What `codistill list` prints."""

import inspect

from rich.table import Table

from codistill import names
from codistill.names import Spec

FOLDERS = {
    "methods": "codistill.methods",
    "models": "codistill.models",
    "data": "codistill.data",
    "recipes": "codistill.recipes",
}


def listing(what: str) -> Table:
    """One row for each name in a folder: its options with their defaults, and its first line."""
    folder = FOLDERS[what]
    table = Table("name", "options", "", title=None, box=None, header_style="bold", pad_edge=False)
    for name in names.available(folder):
        found, _ = names.find(folder, Spec(name))
        table.add_row(name, _options(found), (inspect.getdoc(found) or "").partition("\n")[0])
    return table


def _options(found: object) -> str:
    given = {"classes", "shape", "root", "download", "teacher"}
    parameters = inspect.signature(found).parameters.values()  # type: ignore[arg-type]
    return " ".join(
        p.name if p.default is p.empty else f"{p.name}={p.default}" for p in parameters if p.name not in given
    )
