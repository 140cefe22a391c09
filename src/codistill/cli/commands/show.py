"""``codistill show``."""

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from codistill.cli.settings import Settings, recipe_of, study_of
from codistill.run import Run

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Show:
    """Print a run's settings as JSON; of a recipe, beside them (on stderr) its rows, seeds, networks and cost."""

    recipe: str | None = None
    """Start from a recipe's settings (a spec; codistill list recipes)."""
    settings: Settings = field(default_factory=Run)
    """Settings of the run. What is not given is the recipe's."""

    def __call__(self, console: "Console", command: str) -> None:
        if self.recipe:
            from codistill.report.plan import plan

            recipe = recipe_of(self.recipe)
            try:
                lines = plan(study_of(recipe, self.settings, (), ()))
            except ValueError as error:  # settings that one run of it may have
                lines = [f"No comparison has these settings, only train: {error}."]
            print("\n".join(lines), file=sys.stderr)
        print(self.settings.to_json(), end="")
