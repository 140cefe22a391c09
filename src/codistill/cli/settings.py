"""Settings of a run on the command line: their types for tyro, a recipe's as defaults, and the study they come to."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import OmitArgPrefixes
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from codistill.run import Run
from codistill.spec import Spec, show_value

if TYPE_CHECKING:
    from codistill.study import Study

HOW = ("data_root", "download", "device", "execute", "checkpoint_every", "checkpoint_steps", "evaluate_every")

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


def defaults(recipe: str | None, argv: Sequence[str]) -> Run:
    """What settings are where they are not given: those of the recipe that the command line names.

    Args:
        recipe: the command's, if the command line names none. Help does not wait for it: it shows a run's own.
        argv: the command line.
    """
    for number, word in enumerate(argv):
        if word == "--recipe" or word.startswith("--recipe="):
            recipe = word.partition("=")[2] or next(iter(argv[number + 1 :]), "")
            break
    else:
        recipe = None if {"-h", "--help"} & set(argv) else recipe
    return Run() if recipe is None else recipe_of(recipe, "--quick" in argv).base


def recipe_of(recipe: str, quick: bool = False) -> "Study":
    """A recipe's study, or a quick look at it."""
    from codistill import recipes
    from codistill.recipes.quick import quick as shortened

    return shortened(recipes.get(recipe)) if quick else recipes.get(recipe)


def study_of(
    study: "Study", settings: Run, methods: Sequence[str], seeds: tuple[int, ...], retrainings: int | None = None
) -> "Study":
    """A recipe's study with other settings, methods, seeds and retrainings.

    Raises:
        ValueError: a setting that comparisons have many of.
    """
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
    study = dataclasses.replace(study, base=settings, rows=rows, seeds=seeds or study.seeds, retrainings=again)
    shown = " ".join(f"{name}={_shown(value)}" for name, value in changed.items() if name not in HOW)
    if shown:
        notes = (*study.notes, f"Other settings than the recipe's: {shown}.")
        study = dataclasses.replace(study, notes=notes, spread=None)  # which was that of the recipe's settings
    if settings.data.name != data:  # figures of other data are no comparison
        study = dataclasses.replace(study, recipe=f"{study.recipe} on {settings.data.name}", published=())
    return study


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) or "none" if isinstance(value, list) else show_value(value)
