"""A run: the whole experiment as data, JSON out and in."""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Self, get_args, get_origin, get_type_hints

from codistill.spec import Spec, UnknownName

UPDATES = ("together", "in_turn", "fresh_batch")
EXECUTES = ("auto", "loop", "stack")


@dataclass(frozen=True)
class Run:
    """One cohort, one method, one seed.

    A spec is a name with options, e.g. ``dml:weight=0.5,temperature=3``.

    Raises:
        ValueError: a value that cannot be, with the setting, the value and the fix.
    """

    data: str = "digits"
    """Data set, a spec; `codistill list data`."""
    data_root: str | None = None
    """Folder of the data set's files."""
    download: bool = False
    """Download the data set where it is not in data_root."""
    limit: int | None = None
    """Only so many training and so many test examples, for a quick look; none: all."""
    labels: int | None = None
    """Labelled training examples, drawn by seed, each class in its share; none: all."""
    valid: float = 0.0
    """Part of the training set held out for validation, below 1; or a number of examples."""
    unlabelled: int = 0
    """Unlabelled examples in a step, beside the labelled ones: what `labels` leaves over. 0: none."""
    shards: bool = False
    """Give each peer a part of its own of the training data."""
    own_views: bool = False
    """Give each peer an augmentation of its own of the same examples."""
    augment: tuple[str, ...] = ()
    """Augmentations in order, specs: crop:pad=4 flip."""
    models: tuple[str, ...] = ("cnn",)
    """Networks, specs: one for all peers, or one for each."""
    peers: int = 2
    """Networks in the cohort."""
    branch_at: str | None = None
    """Submodule from which on peers are branches of one trunk; none: they share nothing."""
    method: str = "dml"
    """Method, a spec; `codistill list methods`."""
    update: str = "together"
    """together | in_turn (the paper's Algorithm 1) | fresh_batch (the authors' released code)."""
    optimizer: str = "sgd"
    """sgd | adam | adamw."""
    learning_rate: float = 0.1
    """At its highest."""
    momentum: float = 0.9
    """Of sgd."""
    nesterov: bool = True
    """Of sgd."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Of adam and adamw."""
    weight_decay: float = 5e-4
    """On every parameter."""
    schedule: str = "cosine"
    """Learning rate over the training, a spec: step:at=0.3/0.6/0.9,by=0.1 | cosine | linear | constant."""
    warmup: float = 0.0
    """Part of the training in which the learning rate rises to its value."""
    smoothing: float = 0.0
    """Label smoothing of the task term, whatever the method."""
    average: float = 0.0
    """Decay of an average of each peer's weights over the steps, which is evaluated in their place; 0: none."""
    clip: float | None = None
    """Largest norm of a peer's gradient; none: not clipped."""
    epochs: int = 40
    """Passes over the training data."""
    batch: int = 64
    """Examples in a step, for each peer."""
    drop_last: bool = False
    """Leave out the examples of an epoch that fill no whole batch."""
    seed: int = 0
    """Of the split, the initial weights, the order and the augmentation."""
    execute: str = "auto"
    """How like peers run: stack (as one) | loop | auto (both are timed, the faster one is taken and logged)."""
    precision: str = "float32"
    """float32 | bfloat16 (autocast) | float64."""
    device: str = "auto"
    """auto | cpu | cuda | cuda:N | mps."""
    embedding: str = "fc:input"
    """Submodule whose features are searched with, in open sets."""
    evaluate_every: int = 0
    """Epochs between evaluations on the validation part; 0: only at the end."""
    checkpoint_every: int = 10
    """Epochs between checkpoints; parts of an epoch are made by checkpoint_steps."""
    checkpoint_steps: int = 0
    """Steps between checkpoints, in addition; 0: none."""

    def __post_init__(self) -> None:
        for field, kind in get_type_hints(type(self)).items():
            object.__setattr__(self, field, _checked(field, getattr(self, field), kind))
        self._choice("update", UPDATES)
        self._choice("execute", EXECUTES)
        self._choice("optimizer", ("sgd", "adam", "adamw"))
        self._choice("precision", ("float32", "bfloat16", "float64"))
        least = {
            "peers": 1,
            "unlabelled": 0,
            "epochs": 1,
            "batch": 1,
            "evaluate_every": 0,
            "checkpoint_every": 0,
            "checkpoint_steps": 0,
        }
        for field, low in least.items():
            if getattr(self, field) < low:
                raise ValueError(f"{field}={getattr(self, field)}: give at least {low}")
        for field in ("learning_rate", "weight_decay", "momentum", "valid", "warmup"):
            if not getattr(self, field) >= 0:
                raise ValueError(f"{field}={getattr(self, field)}: give a number of at least 0")
        if self.valid > 1 and not self.valid.is_integer():
            raise ValueError(f"valid={self.valid}: give a part below 1, or a whole number of examples")
        for field in ("smoothing", "average"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(f"{field}={getattr(self, field)}: give a number from 0 to below 1")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip={self.clip}: give a number above 0, or none")
        if len(self.models) not in (1, self.peers):
            raise ValueError(
                f"models={' '.join(self.models)!r} are {len(self.models)} networks for peers={self.peers}: "
                "give one for all peers, or one for each"
            )
        for spec in (self.data, self.method, self.schedule, *self.models, *self.augment):
            Spec.parse(spec)

    def _choice(self, field: str, valid: tuple[str, ...]) -> None:
        if getattr(self, field) not in valid:
            raise UnknownName(field, getattr(self, field), valid)

    @property
    def name(self) -> str:
        """Method, update mode and seed, for people: ``dml:temperature=3/peers=2/seed=0``."""
        turns = "" if self.update == "together" else f"/update={self.update}"
        return f"{self.method}/peers={self.peers}{turns}/seed={self.seed}"

    def networks(self) -> tuple[str, ...]:
        """The spec of every peer's network."""
        return self.models * self.peers if len(self.models) == 1 else self.models

    def replace(self, **changes: Any) -> Self:
        """This run with other settings; a misspelt one is an `UnknownName`."""
        fields = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            if name not in fields:
                raise UnknownName("setting of a run", name, fields)
        return dataclasses.replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}

    def to_json(self) -> str:
        """As text; `from_json` gives back an equal run."""
        return json.dumps(self.as_dict(), indent=2) + "\n"

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> Self:
        """From JSON; a setting that there is not raises an `UnknownName`."""
        return cls().replace(**settings)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """From `to_json`'s text."""
        return cls.from_dict(json.loads(text))


def _checked(field: str, value: Any, kind: Any) -> Any:
    """The value in its declared type (3 is a float too, a list a tuple), or a ValueError that names the setting."""
    options = get_args(kind) if get_origin(kind) not in (tuple, None) else (kind,)
    for option in options:
        if option is type(None) and value is None:
            return None
        if get_origin(option) is tuple and isinstance(value, list | tuple):
            inner = get_args(option)
            count = len(value) if inner[-1] is Ellipsis else len(inner)
            if len(value) == count and (value or inner[-1] is Ellipsis):
                return tuple(_checked(field, v, inner[0]) for v in value)
        if option is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if isinstance(option, type) and type(value) is option:
            return value
    shown = getattr(kind, "__name__", str(kind)) if get_origin(kind) is None else str(kind)
    raise ValueError(f"{field}={value!r}: give {shown}, not {type(value).__name__}")


__all__ = ["EXECUTES", "UPDATES", "Run"]
