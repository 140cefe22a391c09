"""What a study is asked to compare: a row is a method with its options, and settings of the run for this row alone."""

from dataclasses import dataclass, fields
from inspect import signature

from codistill import methods
from codistill.run import Run
from codistill.spec import Spec, parse_value
from codistill.training.initial_weights import TRAINED

BASELINE = TRAINED
SETTINGS = {field.name: field.default for field in fields(Run) if field.name not in ("method", "seed", "retraining")}
LISTS = tuple(name for name, default in SETTINGS.items() if isinstance(default, tuple))
SPECS = tuple(name for name, default in SETTINGS.items() if isinstance(default, Spec))


@dataclass(frozen=True, init=False)
class Row:
    """``Row("dml", peers=4, temperature=3)``, ``Row("kd", teacher="alone", graph="ring")``.

    A ``teacher`` may be ``alone`` (the networks trained alone), the spec of a network, which is then trained alone too,
    or a run's folder. A network with ``start=alone`` starts from the weights that it reached when trained alone.

    Attributes:
        method: with the method's options.
        settings: the run's that differ from the study's.
    """

    method: Spec
    settings: tuple[tuple[str, object], ...]

    def __init__(self, method: str | Spec, **options: object) -> None:
        spec = Spec.of(method)
        options = {**spec.options, **options}
        settings = {name: options.pop(name) for name in list(options) if name in SETTINGS}
        models = settings.get("models")
        several = {"peers": len(models)} if isinstance(models, list | tuple) and len(models) > 1 else {}
        run = Run().replace(**{**several, **settings})  # which checks and converts them
        object.__setattr__(self, "method", Spec(spec.name, spec.args, options))
        object.__setattr__(self, "settings", tuple((name, getattr(run, name)) for name in settings))

    @property
    def peers(self) -> int | None:
        """How many networks it asks for; None: as many as the study says."""
        models, peers = self.setting("models"), self.setting("peers")
        return peers if isinstance(peers, int) else len(models) if isinstance(models, tuple) and models[1:] else None

    def setting(self, name: str) -> object:
        """A setting of its own, or None."""
        return dict(self.settings).get(name)

    def replace(self, **options: object) -> "Row":
        """This row with other options or settings."""
        return Row(self.method, **{**dict(self.settings), **options})

    def __str__(self) -> str:
        settings = {name: written(value) for name, value in self.settings}
        return str(Spec(self.method.name, self.method.args, {**settings, **self.method.options}))


def row_of(row: str | Row) -> Row:
    """A row, or the one that a text writes, with the teacher that it leaves out; see `read_row`.

    What needs a teacher and names none is taught by the networks trained alone: each student by the next of them
    (``graph=ring``), never by its own twin, unless that is what the method is about.
    """
    if isinstance(row, Row):
        return row
    read = read_row(row)
    method, options = methods.find(read.method), dict(read.method.options)
    parameters = signature(method).parameters
    if (
        "teacher" in parameters
        and parameters["teacher"].default is parameters["teacher"].empty
        and not read.method.args
    ):
        options.setdefault("teacher", BASELINE)
    if options.get("teacher") == BASELINE and "graph" in parameters and method.needs.teacher != "past":
        options.setdefault("graph", "ring")
    return read.replace(**options)


def read_row(text: str) -> Row:
    """The row that a text writes, as it stands: ``dml:peers=4``, ``dml:models=cnn+mlp:width=9;start=alone``.

    The inverse of ``str``. Items of a list are joined by ``+``, with ``;`` for a comma inside one or inside a spec.
    """
    spec = Spec.of(text)
    return Row(Spec(spec.name, spec.args), **{name: _read(name, value) for name, value in spec.options.items()})


def written(value: object) -> object:
    """A setting's value as text writes it."""
    if isinstance(value, Spec):
        return str(value).replace(",", ";")
    return "+".join(map(str, value)).replace(",", ";") if isinstance(value, tuple) else value


def _read(setting: str, value: object) -> object:
    """What a setting's text says."""
    if setting in SPECS:
        return value.replace(";", ",") if isinstance(value, str) else "none" if value is None else value
    if setting not in LISTS:
        return value
    words = str(value).replace(";", ",").split("+")
    return tuple(map(parse_value, words)) if setting == "betas" else tuple(words)
