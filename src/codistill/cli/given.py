"""Settings as they stand on the command line, and the runs and comparisons that are made of them."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import OmitArgPrefixes

from codistill.run import Run
from codistill.spec import Spec, show_value

if TYPE_CHECKING:
    from codistill.study import Study


class Given(Run):
    """Settings as they stand on the command line; a `Run` is made of them, and checks them, with the recipe's."""

    def __post_init__(self) -> None:
        pass


HOW = ("data_root", "download", "device", "execute", "checkpoint_every", "checkpoint_steps", "evaluate_every")

Settings = Annotated[Given, OmitArgPrefixes]


def given_of(command: Any, argv: Sequence[str]) -> dict[str, Any]:
    """The run's settings that stand on the command line; those that do not are the recipe's to say."""
    run = getattr(command, "settings", None)
    if run is None:
        return {}
    said = {word.partition("=")[0].replace("_", "-").replace("--no-", "--", 1) for word in argv if word[:2] == "--"}
    names = [f.name for f in dataclasses.fields(run)]
    return {name: getattr(run, name) for name in names if "--" + name.replace("_", "-") in said}


def run_of(recipe: str | None, given: dict[str, Any]) -> Run:
    """The run of a recipe's settings and these."""
    if recipe is None:
        return Run(**given)
    from codistill import recipes

    return recipes.get(recipe).base.replace(**given)


def study_of(
    recipe: str, given: dict[str, Any], methods: tuple[str, ...], seeds: tuple[int, ...], quick: bool = False
) -> "Study":
    """The comparison of a recipe and these settings.

    Raises:
        ValueError: a setting that comparisons have many of.
    """
    from codistill import recipes
    from codistill.recipes.quick import quick as shortened

    study = shortened(recipes.get(recipe)) if quick else recipes.get(recipe)
    if "method" in given or "seed" in given:
        raise ValueError("a comparison has many methods and seeds: use --methods and --seeds")
    if len(seeds) == 1:
        if seeds[0] < 1:
            raise ValueError(f"seeds={seeds[0]}: give the number of seeds, at least 1, or the seeds themselves")
        seeds = tuple(range(seeds[0]))
    return dataclasses.replace(
        study,
        **_own(study, given),
        base=study.base.replace(**given),
        methods=methods or study.methods,
        seeds=seeds or study.seeds,
    )


def _own(study: "Study", given: dict[str, Any]) -> dict[str, Any]:
    """What a recipe still says of a comparison with other settings: figures of other data are no comparison at all."""
    base = study.base.as_dict()
    changed = {k: v for k, v in study.base.replace(**given).as_dict().items() if k not in HOW and v != base[k]}
    said = " ".join(f"{name}={_shown(value)}" for name, value in changed.items())
    own: dict[str, Any] = {"notes": (*study.notes, f"Other settings than the recipe's: {said}.")} if changed else {}
    was, now = (Spec.parse(data).name for data in (study.base.data, given.get("data", study.base.data)))
    if now != was:
        own |= {"recipe": f"{study.recipe} on {now}", "published": ()}
    return own


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) or "none" if isinstance(value, list) else show_value(value)


__all__ = ["Given", "Settings", "given_of", "run_of", "study_of"]
