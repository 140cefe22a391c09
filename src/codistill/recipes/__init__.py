"""Recipes: functions that return a `Study`, one file per paper table or data set; the folder is the list."""

from collections.abc import Sequence

from codistill import discovery
from codistill.run import Run
from codistill.spec import Spec, WrongKind
from codistill.study import Row, Study

NEEDS_GPU = "A full run needs a GPU; --quick shows in a minute that it works here."


def get(spec: str | Spec) -> Study:
    """A recipe from its spec; ``module:function`` is the user's own.

    Raises:
        UnknownName: no such recipe or option, with the nearest that exist.
        WrongKind: the user's own returns no study.
    """
    study = discovery.construct(__name__, spec)
    if not isinstance(study, Study):
        raise WrongKind(f"recipe '{spec}' returned a {type(study).__name__}, not a Study")
    return study


def on_cifar(data: str, model: str, **settings: object) -> Run:
    """SGD on CIFAR as most papers have it; the schedule and the rest are those of a recipe."""
    run = Run(data=data, models=(model,), augment=("crop:pad=4", "flip"), epochs=200, checkpoint_every=10)
    return run.replace(**settings)


def on_gpu(recipe: str, base: Run, rows: Sequence[Row], *notes: str, published: Sequence[str] = ()) -> Study:
    """A study of networks that need a GPU, one run after the other; its three seeds are ours."""
    return Study(recipe, base, tuple(rows), (0, 1, 2), False, (NEEDS_GPU, *notes), published=tuple(published))
