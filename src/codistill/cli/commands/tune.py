"""``codistill tune``."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from codistill.cli.chapters import folder_name
from codistill.cli.finish import form_of
from codistill.cli.settings import modules_of_study, recipe_of

if TYPE_CHECKING:
    from rich.console import Console

    from codistill.report.progress import Form
    from codistill.study.tuning import Tuning


@dataclass
class Tune:
    """Choose settings on validation data, with the same grid for every method and seeds that compare does not use."""

    recipe: Positional[Annotated[str, arg(metavar="RECIPE", help="A recipe (codistill list recipes; or FILE.py).")]]
    learning_rate: tuple[float, ...] = ()
    """Peak learning rates to try; networks of all rates and decays are trained side by side."""
    weight_decay: tuple[float, ...] = ()
    """Weight decays to try, each with every learning rate."""
    grid: tuple[str, ...] = ()
    """Further settings of the run, or options of the methods, as NAME=VALUE/VALUE (epochs=40/60 weight=0.5/1/2). A
    single value of a setting is everybody's (device=cpu)."""
    methods: tuple[str, ...] = ()
    """Methods (specs, as of compare). Empty: the recipe's."""
    seeds: int = 5
    """How many seeds; they begin at 100, or the next hundred above the recipe's own."""
    name: str | None = None
    """Folder in --runs. none: tune- and the recipe's name."""
    runs: Path = Path("runs")
    """Folder that holds the folders of runs."""
    if_exists: Literal["error", "resume"] = "error"
    """If the folder exists already: stop with an error, or resume what is in it."""
    quick: bool = False
    """Check in a minute that everything works: few examples, small networks, one epoch. Its figures mean nothing."""
    quiet: bool = False
    """Print nothing but warnings and errors."""
    json: bool = False
    """Print one JSON record per line: start, epochs, checkpoints, end, and what was found."""

    def __call__(self, console: "Console", command: str) -> None:
        from codistill.discovery import trusting
        from codistill.study.tuning import FILE

        tuning = self.tuning()
        folder = self.runs / (self.name or f"tune-{folder_name(tuning.study.recipe)}")
        if folder.exists() and any(folder.iterdir()) and not (self.if_exists == "resume" and (folder / FILE).exists()):
            go_on = ", or --if-exists resume to go on with it" if (folder / FILE).exists() else ""
            raise FileExistsError(f"{folder} already exists: choose another --name{go_on}")
        with trusting(modules_of_study(tuning.trained)):
            follow_tuning(tuning, folder, console, form_of(self.quiet, self.json), command)

    def tuning(self) -> "Tuning":
        """What is tried.

        Raises:
            ValueError: nothing to choose from, or what cannot be tried.
        """
        from codistill.study.tuning import Tuning

        grid = {"learning_rate": self.learning_rate, "weight_decay": self.weight_decay}
        return Tuning.of(
            recipe_of(self.recipe, self.quick),
            {name: values for name, values in {**grid, **read_grid(self.grid)}.items() if values},
            self.methods,
            self.seeds,
        )


def read_grid(texts: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    """The values of ``NAME=VALUE/VALUE``, by name.

    Raises:
        ValueError: it is something else.
    """
    from codistill.spec import parse_value

    grid: dict[str, tuple[Any, ...]] = {}
    for text in texts:
        name, given, values = text.partition("=")
        if not (name and given and values) or name in grid:
            raise ValueError(f"grid: {text!r}: give each setting once, with its values, such as epochs=40/60")
        grid[name.replace("-", "_")] = tuple(map(parse_value, values.split("/")))
    return grid


def follow_tuning(tuning: "Tuning", folder: Path, console: "Console", form: "Form", command: str = "") -> None:
    """Show a tuning's progress to its end and what it found; an interruption says how to go on."""
    from rich.console import Console

    from codistill.report.interruption import Interrupted
    from codistill.report.progress import watch
    from codistill.report.table import terminal
    from codistill.report.tuning import compare_command, tuning_table
    from codistill.study.tuning import FILE, tried, tune

    try:
        watch(tune(tuning, folder, command=command), console, form)
    except Interrupted as stop:
        Console(stderr=True).print(
            f"\n{str(stop).capitalize()}. Resume with:\n  codistill resume {folder}", markup=False
        )
        raise SystemExit(stop.exit_code) from None
    if form == "lines":
        rows = tried(tuning, folder)
        console.print(terminal(tuning_table(tuning, rows)))
        console.print(f"\nCompare on test data, with other seeds:\n  {compare_command(tuning, rows)}", soft_wrap=True)
        console.print(f"\nEverything that was tried: {folder / FILE}", soft_wrap=True)


__all__ = ["Tune", "follow_tuning", "read_grid"]
