"""Settings of a run on the command line: their types for tyro, a recipe's as defaults, and the study they come to."""

import dataclasses
import itertools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import OmitArgPrefixes
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from codistill.run import Run
from codistill.spec import Spec, show_value
from codistill.tuned import DIGITS

if TYPE_CHECKING:
    from codistill.study import Study

DEFAULT = "digits"  # the recipe of a comparison that names neither a recipe nor other data
TUNED = ("limit", "labels", "valid", "unlabelled", "learning_rate", "weight_decay", "epochs", "steps", "batch")
HOW = (
    "data_root",
    "download",
    "device",
    "execute",
    "threads",
    "checkpoint_every",
    "checkpoint_steps",
    "evaluate_every",
)

Settings = Annotated[Run, OmitArgPrefixes]
REGISTRY = ConstructorRegistry()


@REGISTRY.primitive_rule
def _spec(type_info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Spec] | None:
    if type_info.type is not Spec:
        return None
    return PrimitiveConstructorSpec(
        1, "SPEC", lambda words: Spec.of(words[0]), lambda value: isinstance(value, Spec), lambda spec: [str(spec)]
    )


@REGISTRY.primitive_rule
def _none(type_info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[None] | None:
    """None is ``none`` on the command line, as in specs."""
    if type_info.type is not type(None):
        return None

    def read(words: list[str]) -> None:
        if words[0].lower() != "none":
            raise ValueError(f"{words[0]!r} is not none")

    return PrimitiveConstructorSpec(1, "none", read, lambda value: value is None, lambda _: ["none"])


def defaults(argv: Sequence[str], command: str = "compare") -> list[Run]:
    """What settings are where they are not given: those of each recipe that the command line names.

    Without a recipe they are a run's own; a comparison on the digits has those that were tuned for them, and a quick
    look its own.

    Raises:
        ValueError: a recipe was tuned for other data than are given, and what it says of sizes and rates is not.
    """
    quick, asks = "--quick" in argv, bool({"-h", "--help"} & set(argv))
    if given := values_of(argv, "recipe"):
        if not given[-1]:
            raise ValueError("recipe is empty: name one or several (codistill list recipes)")
        bases = [recipe_of(recipe, quick).base for recipe in given[-1]]  # the last --recipe counts
        if not (quick or asks or command == "show"):
            for recipe, base in zip(given[-1], bases, strict=True):
                _check_tuned_for(argv, recipe, base)
        return bases
    if command != "compare":
        return [Run()]
    own = DIGITS if _on_digits(argv) else Run().replace(data=_data_of(argv))
    return [start_of(own, quick).base if quick else own]


def values_of(argv: Sequence[str], option: str) -> list[list[str]]:
    """The words of each time that an option is given."""
    found = []
    for number, word in enumerate(argv):
        flag, joined, value = word.partition("=")
        if flag.replace("_", "-") == "--" + option.replace("_", "-"):
            after = itertools.takewhile(lambda word: not word.startswith("-"), argv[number + 1 :])
            found.append([value] if joined else list(after))
    return found


def _data_of(argv: Sequence[str]) -> Spec | None:
    """The data that the command line names."""
    given = values_of(argv, "data")
    return Spec.of(given[-1][0]) if given and given[-1] else None


def _on_digits(argv: Sequence[str]) -> bool:
    data = _data_of(argv)
    return data is None or data.name == DIGITS.data.name


def _check_tuned_for(argv: Sequence[str], recipe: str, base: Run) -> None:
    """What a recipe says of sizes and rates is for its data; for others it is taken over in so many words only."""
    data, plain = _data_of(argv), Run()
    if data is None or data.name == base.data.name:
        return
    tuned = [n for n in TUNED if getattr(base, n) != getattr(plain, n) and not values_of(argv, n)]
    if tuned:
        said = " ".join(f"--{n.replace('_', '-')} {_option(getattr(base, n))}" for n in tuned)
        raise ValueError(
            f"recipe {recipe!r} has sizes and rates for data={base.data.name}, not {data.name!r}: leave --recipe out "
            f"to start from the defaults, or say what to take over of it: {said}"
        )


def _option(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else show_value(value)


def recipe_of(recipe: str, quick: bool = False) -> "Study":
    """A recipe's study, or a quick look at it."""
    from codistill import recipes
    from codistill.recipes.quick import quick as shortened

    return shortened(recipes.get(recipe)) if quick else recipes.get(recipe)


def start_of(settings: Run, quick: bool = False) -> "Study":
    """What is compared where no recipe is named: `DIGITS` on the digits, else what `plain_study` says."""
    from codistill.recipes.quick import quick as shortened
    from codistill.study.plain import plain_study

    if settings.data.name == DIGITS.data.name:
        return recipe_of(DEFAULT, quick)
    return shortened(plain_study(settings)) if quick else plain_study(settings)


def study_of(
    study: "Study", settings: Run, methods: Sequence[str], seeds: tuple[int, ...], retrainings: int | None = None
) -> "Study":
    """A recipe's study with other settings, methods, seeds and retrainings.

    Raises:
        ValueError: a setting that comparisons have many of.
    """
    from codistill.study.plain import data_title
    from codistill.study.rows import row_of

    base, new, data = study.base.as_dict(), settings.as_dict(), study.base.data.name
    changed = {name: value for name, value in new.items() if value != base[name]}
    if {"method", "seed", "retraining"} & changed.keys():
        raise ValueError("a comparison has many methods, seeds, trainings: use --methods and --seeds, or --retrainings")
    if len(seeds) == 1:
        if seeds[0] < 1:
            raise ValueError(f"seeds={seeds[0]}: give the number of seeds, at least 1, or the seeds themselves")
        seeds = tuple(range(seeds[0]))
    rows = tuple(map(row_of, methods)) or study.rows
    again = study.retrainings if retrainings is None else retrainings
    source = study.recipe
    study = dataclasses.replace(study, base=settings, rows=rows, seeds=seeds or study.seeds, retrainings=again)
    shown = " ".join(f"{name}={_shown(value)}" for name, value in changed.items() if name not in HOW)
    if shown:
        notes = (*study.notes, f"Other settings than the recipe's: {shown}.")
        study = dataclasses.replace(study, notes=notes, spread=None)  # which was that of the recipe's settings
    if settings.data.name != data:  # figures of other data are no comparison
        taken = f"Rows, seeds and the other settings are those of the recipe {source}, which is about {data}."
        study = dataclasses.replace(
            study,
            recipe=data_title(settings) + ("-quick" if study.quick else ""),
            published=(),
            question="",
            notes=(*study.notes, taken),
        )
    return study


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) or "none" if isinstance(value, list) else show_value(value)


def modules_of(run: Run) -> set[str]:
    """The names before the colons in a run's specs, and in those that are options of them."""
    specs = [value for value in run.as_dict().values() for value in (value if isinstance(value, list) else [value])]
    return {part for text in specs for part in re.findall(r"[\w.]+(?=:)", str(text))}


def modules_of_study(study: "Study") -> set[str]:
    """Those of all its runs."""
    return {name for entry in study.entries for name in modules_of(entry.run)}
