"""Pages of the documentation that are made from the package itself, in the repository's root:

python -m codistill.cli.docs methods > docs/methods.md
python -m codistill.cli.docs recipes > docs/recipes.md
python -m codistill.cli.docs metrics > docs/metrics.md
python -m codistill.cli.docs names > docs/names.md
python -m codistill.cli.docs which-method > docs/which-method.md
python -m codistill.cli.docs listing > src/codistill/cli/listing.json

The site has a page for each method besides, see `method_page`.
"""

import inspect
import re
import sys
from pathlib import Path

from codistill import methods
from codistill.cli.choosing import FAMILY, Results, family_rows, measured_rows, significant, situations
from codistill.cli.equations import latex
from codistill.cli.inventory import as_json, command, method_rows, name_rows, parameters, recipe_rows
from codistill.cli.listing import CLASSES
from codistill.methods.parts.options import described as described_options
from codistill.metrics import described
from codistill.report.prose import environment
from codistill.spec import Spec
from codistill.study import Summary

KINDS = {
    "divergences": "divergence=",
    "graphs": "graph=",
    "targets": "target=",
    "selections": "select=",
    "augmentations": "--augment",
    "shards": "--shards",
    "noise": "--noise",
    "schedules": "--schedule",
}
WHERE = {"decisions": "all but retrieval", "labels": "several labels", "pairs": "pairs"}


def methods_page(results: Path = Path("benchmarks/results")) -> str:
    """``docs/methods.md``, with what was measured in this folder."""
    page, gains = _measured(results)
    rows = method_rows()
    needs = {row.name: methods.find(row.name).needs for row in rows}

    def those(need: str) -> str:
        """The methods that have a need."""
        return ", ".join(f"`{name}`" for name, all_of in needs.items() if getattr(all_of, need))

    return _page("methods", page=page, gains=gains, rows=rows, those=those, options=_options())


def _options() -> dict[tuple[str, str], str]:
    """Every option of a method with what it is -> the methods that have it so."""
    found: dict[tuple[str, str], str] = {}
    for row in method_rows():
        for name, lines in described_options(methods.find(row.name)).items():
            option = f"`{name}`", " ".join(lines.split()).partition(": ")[2]
            found[option] = f"{found[option]}, `{row.name}`" if option in found else f"`{row.name}`"
    return found


def recipes_page() -> str:
    """``docs/recipes.md``."""
    return _page("recipes", rows=recipe_rows(), command=command)


def metrics_page() -> str:
    """``docs/metrics.md``."""
    return _page("metrics", metrics=described(), where=WHERE)


def names_page() -> str:
    """``docs/names.md``."""
    models = []
    for name, options, summary in name_rows("models"):
        counts, inputs = parameters(name)
        numbers = [f"{count:,}" for count in counts] or ["-"] * len(CLASSES)
        models.append((f"`{name}`", summary, _code(options), *numbers, inputs or "-"))
    kinds = [
        (kind, setting, [(f"`{name}`", summary, _code(options)) for name, options, summary in name_rows(kind)])
        for kind, setting in KINDS.items()
    ]
    return _page("names", classes=CLASSES, models=models, kinds=kinds)


def which_method_page(folder: Path = Path("benchmarks/results")) -> str:
    """``docs/which-method.md``, with what was measured in this folder."""
    results = Results(folder)
    return _page(
        "which-method",
        situations=situations(results),
        methods=list(family_rows(results)),
        seeds=len(results.summary(FAMILY).seeds),
        significant=significant(results),
    )


def method_page(name: str, folder: Path = Path("benchmarks/results")) -> str:
    """The page of one method, as Markdown for the site: its equation is LaTeX, its docstring is filled in there."""
    row = next(row for row in method_rows() if row.name == name)
    method = methods.find(name)
    about = described_options(method)
    options = []
    for option, default in (each.partition("=")[::2] for each in row.options.split()):
        lines = about.get(option, "")
        options.append((option, f"`{default}`" if default else "", " ".join(lines.split()).partition(": ")[2]))
    return _page(
        "method",
        row=row,
        prose=_prose(method),
        title=method.title,
        equation=latex(row.equation) if row.equation else "",
        options=options,
        measured=measured_rows(name, Results(folder)),
        page=FAMILY,
        **{"class": method.__name__},
    )


def _prose(method: type[object]) -> list[str]:
    """The paragraphs of a docstring below its first line, without its lists of arguments and errors."""
    _, *paragraphs = (inspect.getdoc(method) or "").split("\n\n")
    told = [paragraph for paragraph in paragraphs if not re.match(r"[A-Z]\w+:\n", paragraph)]
    return [" ".join(paragraph.split()).replace("``", "`") for paragraph in told]


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _page(name: str, **values: object) -> str:
    return environment().get_template(f"{name}.md").render(values).rstrip() + "\n"


def _measured(results: Path) -> tuple[str, dict[str, str]]:
    """The file of results that has most methods, and the gain of each method at its defaults; of several numbers of
    peers, with the most.
    """
    page = "family" if (results / "family.json").exists() else "digits"
    summary = Summary.read(results / f"{page}.json")
    gains = {}
    for row in summary.rows:
        if row.gain and row.gain.interval and not row.tuned and Spec.of(row.method).name != "alone":
            low, high = row.gain.interval
            gains[Spec.of(row.method).name] = f"{row.gain.mean:+.2%} [{low:+.2%}, {high:+.2%}]".replace("%", "")
    return page, gains


PAGES = {
    "methods": methods_page,
    "recipes": recipes_page,
    "metrics": metrics_page,
    "names": names_page,
    "which-method": which_method_page,
    "listing": as_json,
}

if __name__ == "__main__":
    sys.stdout.write(PAGES[sys.argv[1]]())
