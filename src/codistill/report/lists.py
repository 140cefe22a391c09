"""What there is: `codistill list`, and `docs/methods.md` from the same rows.

python -m codistill.report.lists > docs/methods.md
"""

import inspect
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.table import Table
from rich.text import Text
from torch.overrides import TorchFunctionMode

from codistill import discovery, methods, models
from codistill.methods import Method, Needs
from codistill.report.recipes import recipes_listing
from codistill.spec import Spec

FOLDERS = {kind: f"codistill.{kind}" for kind in ("methods", "models", "data", "recipes")}
RESULTS = Path("benchmarks/results")
# What a network's parameters are counted for: the first of these that it takes.
INPUTS: "dict[str, tuple[tuple[int, ...], dict[str, int]]]" = {
    "3 x 32 x 32": ((3, 32, 32), {}),
    "3 x 224 x 224": ((3, 224, 224), {}),
    "15,000 token ids": ((20,), {"vocabulary": 15_000}),
}
CLASSES = (10, 100)

HEAD = """# Methods

`z_i` are the logits of peer i, `p_i` its posterior (`p_i^T` at temperature T), `y` the label, `W` the graph (who learns
from whom), `f_i` a feature; whatever is imitated is detached. Cost is network passes per network and step, forward /
backward. "Published" says whose figure it is; what we could only take second hand is called so, and what we could not
verify is not here. "Ours" is the gain over training alone on digits, in points with its 95 % interval, at the published
defaults ([all rows](../benchmarks/results/{page}.md)); a dash where we have not measured it yet.

With `update=in_turn` a cohort of P needs (2P - 1)/P forwards per network and step, with `fresh_batch` P.

This page is made by `python -m codistill.report.lists > docs/methods.md`; `codistill list methods` prints the same
rows.
"""


REFUSED = """
## What is refused, and why

Every method runs looped and stacked. What cannot be is an error before the first step:

| setting | methods | because |
| --- | --- | --- |
| `update=in_turn`, `fresh_batch` | {own} (`fitnet`, `udml` where shapes differ) | they have parameters of their own, \
which belong to no peer's turn |
| `update=in_turn`, `fresh_batch` | {branches}, and any with `branch_at` | branches of one trunk have no turns |
| `branch_at` with `own_views` or `shards` | all, and {views} | branches of one trunk see the same inputs |
| `shards` | all but {batches} | peers compare what they make of the same samples |
| `unlabelled` | all but {semi} | nothing is learnt from a sample without a label |
| `unlabelled` | {partners} | an unlabelled sample has no partner of its class |
| `augment` left empty | {distorted}, and any with `own_views` | they need distorted views |
| `peers=1` | {mutual}, and any with `teacher=none` | there is nobody to learn from |
"""


class Row(NamedTuple):
    """What is said of a method."""

    name: str
    summary: str
    equation: str
    options: str
    needs: str
    cost: str
    published: str


def method_rows() -> list[Row]:
    """One row for each method, from its class: the first line of its docstring and what it declares."""
    rows = []
    for name in discovery.available(FOLDERS["methods"]):
        method = methods.find(name)
        summary, _, equation = (inspect.getdoc(method) or "").partition("\n")[0].partition("  ")
        rows.append(
            Row(name, summary, equation.strip(), _options(method), str(method.needs), _cost(method), method.published)
        )
    return rows


def listing(what: str) -> Table:
    """The names in a folder: for methods their rows, else options with defaults and the first line."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    if what == "methods":
        table.show_header = False
        _, gains = _measured(RESULTS)
        for row in method_rows():
            table.add_row(Text(row.name, style="bold"), Text(row.summary))
            said = {"options": row.options, "needs": row.needs, "passes": row.cost, "published": row.published}
            said["measured"] = f"{gains[row.name]} points over alone on digits" if row.name in gains else ""
            table.add_row("", Text(row.equation, style="cyan"))
            for title, text in said.items():
                if text:
                    table.add_row("", Text.assemble((f"{title}: ", "dim"), text))
            table.add_row("", "")
        return table
    if what == "models":
        return _models(table)
    if what == "recipes":
        return recipes_listing(table)
    for title in ("name", "options", ""):
        table.add_column(title)
    for name in discovery.available(FOLDERS[what]):
        found, _ = discovery.find(FOLDERS[what], Spec(name))
        table.add_row(name, _options(found), _first_line(found))
    return table


def parameters(model: str) -> tuple[tuple[int, ...], str]:
    """Of a model with the options' defaults: its numbers of parameters for `CLASSES`, and for which of `INPUTS`.

    Empty where it cannot be built by its name alone. Nothing is allocated.
    """
    for inputs, (shape, known) in INPUTS.items():
        try:
            with torch.device("meta"), _NotDrawn():
                nets = [models.build(model, classes, shape, known=known) for classes in CLASSES]
        except (ValueError, ImportError):
            continue
        return tuple(models.count_parameters(net) for net in nets), inputs
    return (), ""


class _NotDrawn(TorchFunctionMode):
    """Inside, weights are given no start: there are none on meta, and drawing normal ones imports for a second."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func is torch.Tensor.normal_ or getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else given["tensor"]
        return func(*args, **given)


def _models(table: Table) -> Table:
    """Each with its parameters, what it is, what they were counted for and its options."""
    table.title, table.title_justify, table.title_style = "Numbers of parameters", "left", "dim"
    table.add_column("name", no_wrap=True)
    for classes in CLASSES:
        table.add_column(f"{classes} classes", justify="right", no_wrap=True)
    table.add_column("")
    for name in discovery.available(FOLDERS["models"]):
        found, _ = discovery.find(FOLDERS["models"], Spec(name))
        counts, inputs = parameters(name)
        said = {"counted for": inputs, "options": _options(found)}
        lines = [_first_line(found), *(f"{title}: {text}" for title, text in said.items() if text)]
        numbers = [f"{count:,}" for count in counts] or [""] * len(CLASSES)
        table.add_row(Text(name, style="bold"), *numbers, Text("\n".join(lines)))
    return table


def _first_line(found: object) -> str:
    return (inspect.getdoc(found) or "").partition("\n")[0]


def methods_page(results: Path = RESULTS) -> str:
    """``docs/methods.md``, with what was measured in this folder."""
    page, gains = _measured(results)
    titles = ("method", "loss of peer i", "options", "needs", "cost", "published", "ours")
    lines = [HEAD.format(page=page), _cells(titles), _cells(["---"] * len(titles))]
    for row in method_rows():
        about = f"{row.summary} `{row.equation}`" if row.equation else row.summary
        options = f"`{row.options}`" if row.options else ""
        ours = gains.get(row.name, "-")
        lines.append(_cells((f"`{row.name}`", about, options, row.needs, row.cost, row.published or "-", ours)))
    return "\n".join(lines) + "\n" + _refused()


def _refused() -> str:
    every = {row.name: methods.find(row.name).needs for row in method_rows()}

    def those(holds: Callable[[Needs], bool]) -> str:
        return _names(name for name, needs in every.items() if holds(needs))

    return REFUSED.format(
        own=those(lambda needs: needs.parameters),
        branches=those(lambda needs: needs.branches),
        views=those(lambda needs: needs.own_views),
        batches=those(lambda needs: needs.shards),
        semi=those(lambda needs: needs.unlabelled),
        partners=those(lambda needs: needs.partners),
        distorted=those(lambda needs: needs.augmentation),
        mutual=those(lambda needs: needs.peers),
    )


def _names(found: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in found)


def _cells(cells: "tuple[str, ...] | list[str]") -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _measured(results: Path) -> tuple[str, dict[str, str]]:
    """The file of results that says most of what is in a folder, and the gains in it; nothing outside a checkout."""
    page = next((name for name in ("family", "digits") if (results / f"{name}.json").exists()), "")
    return page, _gains(results / f"{page}.json") if page else {}


def _gains(path: Path) -> dict[str, str]:
    """Of each method, the gain that was measured at its defaults; of several numbers of peers, with the most."""
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    gains: dict[str, str] = {}
    for row in rows:
        if row["gain_mean"] is not None and row.get("tuned") is not True and Spec.parse(row["method"]).name != "alone":
            mean, (low, high) = row["gain_mean"], row["gain_ci95"]
            gains[Spec.parse(row["method"]).name] = f"{mean:+.2%} [{low:+.2%}, {high:+.2%}]".replace("%", "")
    return gains


def _cost(method: type[Method]) -> str:
    return method.cost or ("2 / 1, and the teacher's training" if method.needs.teacher else "1 / 1")


def _options(found: object) -> str:
    parameters = inspect.signature(found).parameters.values()  # type: ignore[arg-type]
    given = {"classes", "shape", "root", "download"}
    if "shape" in (p.name for p in parameters):  # a model's, which the data set tells
        given |= {"vocabulary", "vectors"}
    return " ".join(
        p.name if p.default is p.empty else f"{p.name}={p.default}" for p in parameters if p.name not in given
    )


if __name__ == "__main__":
    sys.stdout.write(methods_page())
