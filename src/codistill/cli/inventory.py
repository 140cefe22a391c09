"""What there is, from the objects themselves: `docs` writes pages of it, and the file that `listing` prints."""

import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import torch

from codistill import discovery, methods, models, recipes
from codistill.cli.listing import CLASSES, FOLDERS, Entry
from codistill.losses.divergence import Divergence
from codistill.spec import Spec
from codistill.study import Study

# What a network's parameters are counted for: the first of these that it takes.
INPUTS: dict[str, tuple[tuple[int, ...], dict[str, int]]] = {
    "3 x 32 x 32": ((3, 32, 32), {}),
    "3 x 224 x 224": ((3, 224, 224), {}),
    "15,000 token ids": ((20,), {"vocabulary": 15_000}),
}
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


def entries(what: str) -> tuple[Entry, ...]:
    """What `codistill list` shows, from the objects themselves."""
    makers: dict[str, Callable[[], Iterator[Entry]]] = {"methods": _methods, "models": _models, "recipes": _recipes}
    if what in makers:
        return tuple(makers[what]())
    return tuple(Entry(name, summary, options) for name, options, summary in name_rows(what))


def as_json() -> str:
    """The text of `codistill.cli.listing.FILE`."""
    every = {what: [asdict(entry) for entry in entries(what)] for what in FOLDERS}
    return json.dumps(every, indent=1, ensure_ascii=False) + "\n"


def name_rows(what: str) -> list[tuple[str, str, str]]:
    """Name, options with their defaults, and summary of everything in a folder."""
    found = [(name, discovery.find(FOLDERS[what], Spec(name))[0]) for name in discovery.available(FOLDERS[what])]
    return [(name, _options(item), _summary(item)) for name, item in found]


def _methods() -> Iterator[Entry]:
    for row in method_rows():
        facts = {"": row.equation, "options": row.options, "needs": row.needs, "passes": row.cost}
        yield Entry(row.name, row.summary, row.options, facts=_facts(facts | {"published": row.published}))


def _recipes() -> Iterator[Entry]:
    for row in recipe_rows():
        facts = [("options", row.options)] if row.options else []
        for spec, study in row.studies.items():
            facts += [("", command(spec)), *(("published", figure) for figure in study.published)]
        yield Entry(row.name, row.summary, row.options, facts=tuple(facts))


def _models() -> Iterator[Entry]:
    """Each with its parameters, and what they were counted for."""
    for name, options, summary in name_rows("models"):
        counts, inputs = parameters(name)
        facts = _facts({"counted for": inputs, "options": options})
        yield Entry(name, summary, options, tuple(f"{count:,}" for count in counts), facts)


def _facts(facts: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((title, text) for title, text in facts.items() if text)


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
