"""What there is, as `codistill list` prints it; `docs` writes pages from the same rows."""

import inspect
from dataclasses import dataclass

import torch
from rich.table import Table
from rich.text import Text

from codistill import discovery, methods, models, recipes
from codistill.losses.divergence import Divergence
from codistill.spec import Spec
from codistill.study import Study

FOLDERS = {kind: f"codistill.{kind}" for kind in ("methods", "models", "data", "recipes", "schedules")} | {
    "divergences": "codistill.losses.divergences",
    "graphs": "codistill.graph",
    "targets": "codistill.losses.targets",
    "selections": "codistill.losses.selections",
    "augmentations": "codistill.data.augmentations",
    "shards": "codistill.data.shards",
    "noise": "codistill.data.noise",
}
# What a network's parameters are counted for: the first of these that it takes.
INPUTS: dict[str, tuple[tuple[int, ...], dict[str, int]]] = {
    "3 x 32 x 32": ((3, 32, 32), {}),
    "3 x 224 x 224": ((3, 224, 224), {}),
    "15,000 token ids": ((20,), {"vocabulary": 15_000}),
}
CLASSES = (10, 100)
OTHER_DATA = ("cifar10", "cifar100")  # of recipes that take `data`


@dataclass(frozen=True)
class MethodRow:
    """A method: the first line of its docstring, and what its class declares."""

    name: str
    summary: str
    equation: str
    options: str
    needs: str
    cost: str
    published: str


@dataclass(frozen=True)
class RecipeRow:
    """A recipe.

    Attributes:
        name: as it is found.
        summary: the first line of its docstring.
        about: the rest of it, one paragraph each.
        options: with their defaults.
        studies: by spec, with its defaults, and on other data where it takes them.
    """

    name: str
    summary: str
    about: tuple[str, ...]
    options: str
    studies: dict[str, Study]


def method_rows() -> list[MethodRow]:
    """One row for each method in the folder."""
    rows = []
    for name in discovery.available(FOLDERS["methods"]):
        method = methods.find(name)
        summary, _, equation = _summary(method).partition("  ")
        cost = method.cost or ("2 / 1, and the teacher's training" if method.needs.teacher else "1 / 1")
        about = summary, equation.strip(), _options(method)
        rows.append(MethodRow(name, *about, str(method.needs), cost, method.published))
    return rows


def recipe_rows() -> list[RecipeRow]:
    """One row for each recipe in the folder."""
    rows = []
    for name in discovery.available(FOLDERS["recipes"]):
        recipe, _ = discovery.find(FOLDERS["recipes"], Spec(name))
        summary, *about = (" ".join(part.split()) for part in (inspect.getdoc(recipe) or "").split("\n\n"))
        parameters = inspect.signature(recipe).parameters
        others = [data for data in OTHER_DATA if "data" in parameters and data != parameters["data"].default]
        studies = {spec: recipes.get(spec) for spec in (name, *(f"{name}:data={data}" for data in others))}
        rows.append(RecipeRow(name, summary, tuple(about), _options(recipe), studies))
    return rows


def command(spec: str) -> str:
    """The command that runs a recipe."""
    return f"codistill compare --recipe {spec}"


def parameters(model: str) -> tuple[tuple[int, ...], str]:
    """Of a model with the options' defaults: its numbers of parameters for `CLASSES`, and for which of `INPUTS`.

    Empty where it cannot be built by its name alone. Nothing is allocated.
    """
    for inputs, (shape, known) in INPUTS.items():
        try:
            with torch.device("meta"):
                nets = [models.build(model, classes, shape, known=known) for classes in CLASSES]
        except (ValueError, ImportError):
            continue
        return tuple(models.count_parameters(net) for net in nets), inputs
    return (), ""


def listing(what: str) -> Table:
    """The names in a folder, each with its options, their defaults and what it is."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    fill = {"methods": _methods, "models": _models, "recipes": _recipes}.get(what)
    if fill is not None:
        fill(table)
        return table
    for title in ("name", "options", ""):
        table.add_column(title)
    for row in name_rows(what):
        table.add_row(*map(Text, row))
    return table


def name_rows(what: str) -> list[tuple[str, str, str]]:
    """Name, options with their defaults, and summary of everything in a folder."""
    found = [(name, discovery.find(FOLDERS[what], Spec(name))[0]) for name in discovery.available(FOLDERS[what])]
    return [(name, _options(item), _summary(item)) for name, item in found]


def _methods(table: Table) -> None:
    table.show_header = False
    for row in method_rows():
        table.add_row(Text(row.name, style="bold"), Text(row.summary))
        table.add_row("", Text(row.equation, style="cyan"))
        facts = {"options": row.options, "needs": row.needs, "passes": row.cost, "published": row.published}
        for title, text in facts.items():
            _add_fact(table, title, text)
        table.add_row("", "")


def _recipes(table: Table) -> None:
    table.show_header = False
    for row in recipe_rows():
        table.add_row(Text(row.name, style="bold"), Text(row.summary))
        _add_fact(table, "options", row.options)
        for spec, study in row.studies.items():
            table.add_row("", Text(command(spec), style="cyan"))
            for figure in study.published:
                _add_fact(table, "published", figure)
        table.add_row("", "")
    table.add_row("", Text("[read]: seen in a primary source; [read2]: second hand", style="dim"))


def _models(table: Table) -> None:
    """Each with its parameters, what it is, what they were counted for and its options."""
    table.title, table.title_justify, table.title_style = "Numbers of parameters", "left", "dim"
    table.add_column("name", no_wrap=True)
    for classes in CLASSES:
        table.add_column(f"{classes} classes", justify="right", no_wrap=True)
    table.add_column("")
    for name, options, summary in name_rows("models"):
        counts, inputs = parameters(name)
        facts = {"counted for": inputs, "options": options}
        lines = [summary, *(f"{title}: {text}" for title, text in facts.items() if text)]
        numbers = [f"{count:,}" for count in counts] or [""] * len(CLASSES)
        table.add_row(Text(name, style="bold"), *numbers, Text("\n".join(lines)))


def _add_fact(table: Table, title: str, text: str) -> None:
    if text:
        table.add_row("", Text.assemble((f"{title}: ", "dim"), text))


def _summary(item: object) -> str:
    return (inspect.getdoc(item) or "").partition("\n")[0]


def _options(item: object) -> str:
    if isinstance(item, Divergence):  # made already
        return ""
    parameters = inspect.signature(item).parameters.values()  # type: ignore[arg-type]
    given = {"classes", "shape", "root", "download"}
    if "shape" in (p.name for p in parameters):  # a model's, which the data set tells
        given |= {"vocabulary", "vectors"}
    return " ".join(
        p.name if p.default is p.empty else f"{p.name}={p.default}" for p in parameters if p.name not in given
    )
