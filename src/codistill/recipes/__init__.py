"""Recipes: functions that return a `Study`, one file per paper table or data set; the folder is the list."""

from codistill import discovery
from codistill.data.options import bind
from codistill.spec import Spec, WrongKind
from codistill.study import Study


def get(spec: str) -> Study:
    """A recipe from its spec; ``module:function`` is the user's own.

    Raises:
        UnknownName: no such recipe or option, with the nearest valid names.
    """
    parsed = Spec.parse(spec)
    make, args = discovery.find(__name__, parsed)
    study = make(**bind(make, parsed, args))
    if not isinstance(study, Study):
        raise WrongKind(f"recipe {spec!r} returned a {type(study).__name__}, not a Study")
    return study
