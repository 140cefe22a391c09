"""Pages of the documentation that are made from the package itself, in the repository's root:

python -m codistill.cli.docs methods > docs/methods.md
python -m codistill.cli.docs recipes > docs/recipes.md
python -m codistill.cli.docs metrics > docs/metrics.md
python -m codistill.cli.docs names > docs/names.md
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from codistill import methods
from codistill.cli.listing import CLASSES, RecipeRow, command, method_rows, name_rows, parameters, recipe_rows
from codistill.methods import Needs
from codistill.metrics import described
from codistill.spec import Spec
from codistill.study import Study, Summary

RESULTS = Path("benchmarks/results")

METHODS = """# Methods

`z_i` are the logits of peer i, `p_i` its posterior (`p_i^T` at temperature T), `y` the label, `W` the graph (who learns
from whom), `f_i` a feature; whatever is imitated is detached. Cost is network passes per network and step, forward /
backward. "Published" says whose figure it is; what we could only take second hand is called so, and what we could not
verify is not here. "Ours" is the gain over training alone on digits, in points with its 95 % interval, at the published
defaults ([all rows](../benchmarks/results/{page}.md)); a dash where we have not measured it yet.

With `update=in_turn` a cohort of P needs (2P - 1)/P forwards per network and step, with `fresh_batch` P.

This page is made by `python -m codistill.cli.docs methods > docs/methods.md`; `codistill list methods` prints the same
rows, without "ours".
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

RECIPES = """# Recipes

A recipe is a comparison, ready to run. `codistill compare --recipe digits` runs one and writes its report;
`codistill compare --recipe kd_zoo --quick` shows in a minute that everything is in place, on a few examples with small
networks, and its figures mean nothing. Every setting can be given too: `codistill compare --recipe digits --epochs 20`.

Published figures are other people's, accuracies in percent where nothing else is said; those of several repositories
are of the best epoch on the test set. `[read]` was seen in a primary source, `[read2]` second hand. What is only
remembered is not here.

This page is made by `python -m codistill.cli.docs recipes > docs/recipes.md`; `codistill list recipes` prints the same
rows.
"""

METRICS = """# Metrics

What each number of [a result](evaluation.md) is, by its key in `results.jsonl`. Metrics of pairs are matrices `[P, P]`.
Averaged queries are the mean embeddings of all queries of one identity and camera, where there are several.

This page is made by `python -m codistill.cli.docs metrics > docs/metrics.md`.
"""
NAMES = """# Names

What a setting may name besides [methods](methods.md), [data sets](data.md) and [recipes](recipes.md), with the options
and their defaults: `resnet32:shortcut=b`, `dml:divergence=js,graph=ring`, `--augment crop:pad=2 flip`. Each is found in
its folder; [extending.md](extending.md) says how to add one.

This page is made by `python -m codistill.cli.docs names > docs/names.md`; `codistill list divergences` and the like
print the same rows.
"""
KINDS = {"divergences": "divergence=", "graphs": "graph=", "augmentations": "--augment", "schedules": "--schedule"}

WHERE = {"decisions": "all but retrieval", "labels": "several labels", "pairs": "pairs"}


def methods_page(results: Path = RESULTS) -> str:
    """``docs/methods.md``, with what was measured in this folder."""
    page, gains = _measured(results)
    titles = ("method", "loss of peer i", "options", "needs", "cost", "published", "ours")
    lines = [METHODS.format(page=page), _cells(titles), _cells(["---"] * len(titles))]
    for row in method_rows():
        about = f"{row.summary} `{row.equation}`" if row.equation else row.summary
        ours = gains.get(row.name, "-")
        lines.append(
            _cells((f"`{row.name}`", about, _code(row.options), row.needs, row.cost, row.published or "-", ours))
        )
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


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _cells(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _measured(results: Path) -> tuple[str, dict[str, str]]:
    """The file of results that has most methods, and the gain of each method at its defaults; of several numbers of
    peers, with the most.
    """
    page = "family" if (results / "family.json").exists() else "digits"
    summary = Summary.from_json((results / f"{page}.json").read_text(encoding="utf-8"))
    gains = {}
    for row in summary.rows:
        if row.gain and row.gain.interval and not row.tuned and Spec.of(row.method).name != "alone":
            low, high = row.gain.interval
            gains[Spec.of(row.method).name] = f"{row.gain.mean:+.2%} [{low:+.2%}, {high:+.2%}]".replace("%", "")
    return page, gains


def recipes_page() -> str:
    """``docs/recipes.md``."""
    return "\n".join([RECIPES, *(line for row in recipe_rows() for line in _section(row))])


def _section(row: RecipeRow) -> list[str]:
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


def metrics_page() -> str:
    """``docs/metrics.md``."""
    titles = ("key", "what it is", "unit", "better", "of")
    rows = [
        (f"`{m.key}`", m.about, m.unit, m.better or "-", m.where or WHERE.get(m.source, "retrieval"))
        for m in described()
    ]
    return "\n".join([METRICS, *map(_cells, (titles, ["---"] * len(titles), *rows))]) + "\n"


def names_page() -> str:
    """``docs/names.md``."""
    titles = ("name", "what it is", "options", *(f"parameters, {n} classes" for n in CLASSES), "counted for")
    rows = []
    for name, options, summary in name_rows("models"):
        counts, inputs = parameters(name)
        numbers = [f"{count:,}" for count in counts] or ["-"] * len(CLASSES)
        rows.append((f"`{name}`", summary, _code(options), *numbers, inputs or "-"))
    lines = [NAMES, "## models: `--models`", "", *map(_cells, (titles, ["---"] * len(titles), *rows))]
    for kind, setting in KINDS.items():
        lines += ["", f"## {kind}: `{setting}`", "", *map(_cells, (titles[:3], ["---"] * 3))]
        lines += [_cells((f"`{name}`", summary, _code(options))) for name, options, summary in name_rows(kind)]
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


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


PAGES = {"methods": methods_page, "recipes": recipes_page, "metrics": metrics_page, "names": names_page}

if __name__ == "__main__":
    sys.stdout.write(PAGES[sys.argv[1]]())


__all__ = ["methods_page", "metrics_page", "names_page", "recipes_page"]
