"""``copy``: take a recipe home, as a file of your own."""

import ast
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Copy:
    """Copy a recipe's file, to change it: codistill compare --recipe FILE.py runs it."""

    recipe: Positional[Annotated[str, arg(metavar="RECIPE", help="A recipe (codistill list recipes).")]]
    file: Positional[Annotated[Path, arg(metavar="FILE.py", help="Where to write it.")]]

    def __call__(self, console: "Console", command: str) -> None:
        from codistill import discovery
        from codistill.spec import Spec

        if self.file.suffix != ".py":
            raise ValueError(f"{self.file}: give a file that ends in .py")
        if self.file.exists():
            raise FileExistsError(f"{self.file} already exists: choose another name")
        spec = Spec.of(self.recipe)
        function, _ = discovery.find("codistill.recipes", Spec(spec.name))
        source = inspect.getsource(sys.modules[function.__module__])
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(source, encoding="utf-8")
        options = str(spec).partition(":")[2]
        named = f"{self.file}:{function.__name__}" + (f",{options}" if options else "")
        console.print(f"Wrote {self.file}. Run it with:\n  codistill compare --recipe {named}", markup=False)
        if others := _imported(source):
            console.print(f"It imports parts of other recipes ({', '.join(others)}), which stay where they are.")


def _imported(source: str) -> list[str]:
    """The recipes that a file imports from."""
    modules = [node.module or "" for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    return [module.rpartition(".")[2] for module in modules if module.startswith("codistill.recipes.")]


__all__ = ["Copy"]
