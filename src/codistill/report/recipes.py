"""What recipes there are, with what others published: `codistill list recipes`, and `docs/recipes.md`.

python -m codistill.report.recipes > docs/recipes.md
"""

import inspect
import sys
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from codistill import discovery, recipes
from codistill.spec import Spec
from codistill.study import Study

FOLDER = "codistill.recipes"
OTHER_DATA = ("cifar10", "cifar100")  # of recipes that take `data`

HEAD = """# Recipes

A recipe is a comparison, ready to run. `codistill compare --recipe digits` runs one and writes its report;
`codistill compare --recipe kd_zoo --quick` shows in a minute that everything is in place, on a few examples with small
networks, and its figures mean nothing. Every setting can be given too: `codistill compare --recipe digits --epochs 20`.

Published figures are other people's, accuracies in percent where nothing else is said; those of several repositories
are of the best epoch on the test set. `[read]` was seen in a primary source, `[read2]` second hand. What is only
remembered is not here.

This page is made by `python -m codistill.report.recipes > docs/recipes.md`; `codistill list recipes` prints the same
rows.
"""


class Row(NamedTuple):
    """What is said of a recipe.

    Attributes:
        name: as `names.find` knows it.
        summary: the first line of its docstring.
        about: the rest of it, one paragraph each.
        options: with their defaults.
        studies: by spec, what it makes: with its defaults, and on other data where it takes them.
    """

    name: str
    summary: str
    about: tuple[str, ...]
    options: str
    studies: dict[str, Study]


def recipe_rows() -> list[Row]:
    """One row for each recipe in the folder."""
    rows = []
    for name in discovery.available(FOLDER):
        found, _ = discovery.find(FOLDER, Spec(name))
        summary, *about = (" ".join(part.split()) for part in (inspect.getdoc(found) or "").split("\n\n"))
        parameters = inspect.signature(found).parameters
        others = [data for data in OTHER_DATA if "data" in parameters and data != parameters["data"].default]
        specs = [name, *(f"{name}:data={data}" for data in others)]
        options = " ".join(f"{p.name}={p.default}" for p in parameters.values())
        rows.append(Row(name, summary, tuple(about), options, {spec: recipes.get(spec) for spec in specs}))
    return rows


def command(spec: str) -> str:
    """What has to be typed."""
    return f"codistill compare --recipe {spec}"


def recipes_listing(table: Table) -> Table:
    """Each with its first line, its commands, its options and what others published."""
    table.show_header = False
    for row in recipe_rows():
        table.add_row(Text(row.name, style="bold"), Text(row.summary))
        if row.options:
            table.add_row("", Text.assemble(("options: ", "dim"), row.options))
        for spec, study in row.studies.items():
            table.add_row("", Text(command(spec), style="cyan"))
            for figure in study.published:
                table.add_row("", Text.assemble(("published: ", "dim"), figure))
        table.add_row("", "")
    table.add_row("", Text("[read]: seen in a primary source; [read2]: second hand", style="dim"))
    return table


def recipes_page() -> str:
    """``docs/recipes.md``."""
    return "\n".join([HEAD, *(line for row in recipe_rows() for line in _section(row))])


def _section(row: Row) -> list[str]:
    lines = [f"## {row.name}", "", row.summary, ""]
    for paragraph in row.about:
        lines += [paragraph, ""]
    if row.options:
        lines += [f"Options: `{row.options}`", ""]
    study = next(iter(row.studies.values()))
    lines += [*_settings(study), ""]
    for spec, study in row.studies.items():
        lines += [f"`{command(spec)}`", ""]
        if study.published:
            lines += ["Published:", "", *(f"- {figure}" for figure in study.published), ""]
    return lines


def _settings(study: Study) -> list[str]:
    run = study.base
    rate = f"{run.optimizer}, rate {run.learning_rate:g}, decay {run.weight_decay:g}, {run.schedule}"
    labels = f" with {run.labels} labels" if run.labels else ""
    seeds = f"{len(study.seeds)} seed{'s' if len(study.seeds) > 1 else ''}"
    rows = ", ".join(f"`{entry.name}`" for entry in study.entries)
    return [
        f"- `{run.data}`{labels}, {run.epochs} epochs, batch {run.batch}, {seeds}",
        f"- `{' '.join(map(str, run.models))}` where a row names no network; {rate}",
        f"- rows: {rows}",
        *(f"- {note}" for note in study.footnotes),
    ]


if __name__ == "__main__":
    sys.stdout.write(recipes_page())
