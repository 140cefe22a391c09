"""Recipes: functions that return a `Study`, one file per paper table or data set; the folder is the list."""

from codistill import discovery
from codistill.spec import Spec, WrongKind
from codistill.study import Study


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
