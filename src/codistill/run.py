"""A run: the whole experiment as data, JSON out and in."""

import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from codistill.checks import flag, fraction, number, one_of, whole
from codistill.devices import check_device
from codistill.jsonable import to_json
from codistill.spec import Spec, SpecField, SpecsField, UnknownName

Update = Literal["together", "in_turn", "fresh_batch"]
Optimizer = Literal["sgd", "adam", "adamw"]
Execute = Literal["auto", "loop", "stack", "channels_last"]
Precision = Literal["float32", "bfloat16", "float64"]
Threads = int | Literal["auto"]
Keep = Literal["last", "best_valid"]
OnDivergence = Literal["stop", "skip", "rewind"]
RATES = ("learning_rate", "weight_decay")  # what networks that are trained as one may each have of their own
LEAST = {"seed": None} | dict.fromkeys(
    ("retraining", "unlabelled", "evaluate_every", "checkpoint_every", "checkpoint_steps"), 0
)


@dataclass(frozen=True)
class Run:
    """One cohort, one method, one seed.

    A spec is a name with options, e.g. ``dml:weight=0.5,temperature=3``; where one belongs, its text will do.

    Raises:
        ValueError: an invalid value, with the setting, the value and the fix.
    """

    data: SpecField = SpecField("digits")
    """Data set (a spec; codistill list data)."""
    data_root: str | None = None
    """Folder of the data set's files. none: CODISTILL_DATA, or ~/.cache/codistill."""
    download: bool = False
    """Download the data set if it is not in data_root."""
    limit: int | None = None
    """Use only this many training and this many test examples. none: all."""
    labels: int | None = None
    """Labelled training examples, drawn by seed in equal shares of the classes. none: all."""
    valid: float = 0.0
    """Validation set: a fraction of the training set (below 1), or a number of examples."""
    unlabelled: int = 0
    """Unlabelled examples per step, beside the labelled ones: those that labels leaves over. 0: none."""
    shards: SpecField = SpecField("none")
    """Labels of each peer's own (a spec; codistill list shards), e.g. equal, classes:per=5, dirichlet:alpha=0.3."""
    noise: SpecField = SpecField("none")
    """Wrong training and validation labels (a spec; codistill list noise), e.g. symmetric:0.4."""
    own_views: bool = False
    """Augment the same examples differently for each peer."""
    augment: SpecsField = SpecsField()
    """Augmentations, in order (specs, e.g. crop:pad=4 flip)."""
    models: SpecsField = SpecsField([Spec("cnn")])
    """Networks (specs; codistill list models): one for all peers, or one for each."""
    peers: int = 2
    """Number of networks in the cohort."""
    branch_at: str | None = None
    """Submodule from which the peers are branches of one trunk. none: separate networks."""
    method: SpecField = SpecField("dml")
    """Method (a spec; codistill list methods)."""
    update: Update = "together"
    """Order of the peers' steps. in_turn: the paper's Algorithm 1; fresh_batch: the authors' released code."""
    optimizer: Optimizer = "sgd"
    """Optimizer."""
    learning_rate: float = 0.1
    """Peak learning rate."""
    momentum: float = 0.9
    """Momentum (sgd only)."""
    nesterov: bool = True
    """Nesterov momentum (sgd only)."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of the moments (adam and adamw only)."""
    weight_decay: float = 5e-4
    """Weight decay, on every parameter."""
    schedule: SpecField = SpecField("cosine")
    """Learning rate schedule (a spec): step:at=0.3/0.6/0.9,by=0.1, cosine, linear or constant."""
    warmup: float = 0.0
    """Fraction of training in which the learning rate rises linearly to its peak."""
    smoothing: float = 0.0
    """Label smoothing of the task loss, for any method."""
    average: float = 0.0
    """EMA decay of each peer's weights; the averaged weights are evaluated. 0: off."""
    clip: float | None = None
    """Largest gradient norm, per peer. none: no clipping."""
    epochs: int = 40
    """Passes over the training data. With steps: stretches of equal length, between which logs and checkpoints fall."""
    steps: int | None = None
    """Training steps. none: those of the epochs."""
    batch: int = 64
    """Batch size, per peer."""
    drop_last: bool = False
    """Drop an epoch's last batch if it is incomplete."""
    seed: int = 0
    """Seed of the split, the initial weights, the order of the examples and the augmentation."""
    retraining: int = 0
    """Number of a training on the same split, with other initial weights, order and augmentation. 0: the first."""
    execute: Execute = "auto"
    """How peers run: one by one (loop; channels_last: in that memory format), like ones as one (stack), or auto."""
    threads: Threads = "auto"
    """Threads of a CPU: a number, or the faster of one and all (auto)."""
    precision: Precision = "float32"
    """Floating-point precision; bfloat16 is autocast."""
    device: str = "auto"
    """Device: auto, cpu, cuda, cuda:N or mps."""
    embedding: str = "fc:input"
    """Submodule whose output is the retrieval embedding (retrieval data only)."""
    on_divergence: OnDivergence = "stop"
    """Where a term is no longer a number: stop; skip that step; or rewind to the checkpoint before and skip it then."""
    evaluate_every: int = 0
    """Epochs between evaluations on the validation set. 0: only at the end."""
    keep: Keep = "last"
    """Which weights are delivered: those of the last step, or of each network's best validation accuracy so far."""
    checkpoint_every: int = 10
    """Epochs between checkpoints. 0: only at the end."""
    checkpoint_steps: int = 0
    """Steps between checkpoints, in addition to those of checkpoint_every. 0: none."""

    def __new__(cls, *_: Any, **settings: Any) -> Self:
        """A misspelt setting is an `UnknownName`, with the nearest."""
        _check_names(cls, settings)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shards", _shards(self.shards))
        for field, kind in _kinds(type(self)).items():  # type: ignore[arg-type]
            object.__setattr__(self, field, _checked(field, getattr(self, field), kind))
        for field in ("smoothing", "average"):
            fraction(field, getattr(self, field))
        check_device(self.device)
        if self.valid > 1 and not self.valid.is_integer():
            raise ValueError(f"valid={self.valid}: give a fraction below 1, or a number of examples")
        if len(self.models) not in (1, self.peers):
            raise ValueError(
                f"models='{' '.join(map(str, self.models))}' are {len(self.models)} networks for peers={self.peers}: "
                "give one for all peers, or one for each"
            )

    @property
    def name(self) -> str:
        """Method, update mode and seed, for people: ``dml:temperature=3/peers=2/seed=0``."""
        turns = "" if self.update == "together" else f"/update={self.update}"
        again = f"/retraining={self.retraining}" if self.retraining else ""
        return f"{self.method}/peers={self.peers}{turns}{again}/seed={self.seed}"

    @property
    def private(self) -> bool:
        """Whether each peer has labels of its own."""
        return self.shards.name.lower() != "none"

    def networks(self) -> tuple[Spec, ...]:
        """The spec of every peer's network."""
        return self.models * self.peers if len(self.models) == 1 else self.models

    def replace(self, **changes: Any) -> Self:
        """This run with other settings; a misspelt one is an `UnknownName`."""
        _check_names(type(self), changes)
        return dataclasses.replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: specs as text."""
        return {field.name: to_json(getattr(self, field.name)) for field in dataclasses.fields(self)}

    def to_json(self) -> str:
        """As text; `from_json` gives back an equal run."""
        return json.dumps(self.as_dict(), indent=2) + "\n"

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> Self:
        """From JSON; an unknown setting raises an `UnknownName`."""
        return cls().replace(**settings)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """From `to_json`'s text."""
        return cls.from_dict(json.loads(text))


def told_apart(runs: Iterable[Run]) -> dict[Run, str]:
    """The name of each run; of those that share one, with the rates in which they differ."""
    alike: dict[str, list[Run]] = {}
    for run in runs:
        alike.setdefault(run.name, []).append(run)
    names: dict[Run, str] = {}
    for name, group in alike.items():
        differ = [rate for rate in RATES if len({getattr(run, rate) for run in group}) > 1]
        names |= {run: name + "".join(f"/{rate}={getattr(run, rate):g}" for rate in differ) for run in group}
    return names


@functools.cache
def _kinds(of: type[Run]) -> Mapping[str, Any]:
    """The declared type of every setting."""
    return get_type_hints(of)


def _check_names(kind: type[Run], names: Iterable[str]) -> None:
    fields = [field.name for field in dataclasses.fields(kind)]
    for name in names:
        if name not in fields:
            raise UnknownName("setting of a run", name, fields)


def _checked(field: str, value: Any, kind: Any) -> Any:
    """The value in its declared type (3 is a float too, a list a tuple), or a ValueError that names the setting."""
    arguments = get_args(kind)
    if type(None) in arguments:
        return None if value is None else _checked(field, value, arguments[0])
    if get_origin(kind) is Literal:
        one_of(field, value, arguments)
        return value
    if get_origin(kind) is tuple:
        is_open = arguments[-1] is Ellipsis
        if not isinstance(value, list | tuple) or not (is_open or len(value) == len(arguments)):
            raise ValueError(f"{field}={value!r}: give {'a list of specs' if is_open else f'{len(arguments)} numbers'}")
        return tuple(_checked(field, item, arguments[0]) for item in value)
    if kind == Threads:
        return value if value == "auto" else _threads(field, value)
    if kind is int:
        return whole(field, value, LEAST.get(field, 1))
    if kind is float:
        return float(number(field, value, above=field == "clip"))
    if kind is bool:
        return flag(field, value)
    if not isinstance(value, str | kind):
        form = "a spec, name:key=value,key=value" if kind is Spec else "text"
        raise ValueError(f"{field}={value!r}: give {form}, not {type(value).__name__}")
    return Spec.of(value) if kind is Spec else value


def _threads(field: str, value: Any) -> int:
    try:
        return whole(field, value, 1)
    except ValueError as error:
        raise ValueError(f"{error}, or auto") from None


def _shards(value: Any) -> Any:
    """What older runs say, true or false, and a list of the classes of each peer, as specs."""
    if isinstance(value, bool) or value in ("true", "false"):
        return Spec("equal" if value in (True, "true") else "none")
    if isinstance(value, list | tuple) and all(isinstance(row, list | tuple) for row in value):
        return Spec("table", ("/".join("+".join(map(str, row)) for row in value),))
    return value
