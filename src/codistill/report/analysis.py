"""An analysis as reports read it, from its JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from codistill.analysis.finding import Finding

Losses = tuple[float | None, ...]  # None where a loss is not finite


@dataclass(frozen=True)
class Value:
    """A measure of a method: mean over networks, difference from the baseline and its 95 % interval over seeds."""

    mean: float
    difference: float | None = None
    ci95: tuple[float, ...] | None = None


@dataclass(frozen=True)
class MethodRow:
    """A method, or one kind of network of it: its measures, and its mean posteriors sorted by rank."""

    method: str
    label: str
    measures: Mapping[str, Value]
    train_top: tuple[float, ...]
    test_top: tuple[float, ...]


@dataclass(frozen=True)
class Shaken:
    """Training loss by size of weight noise."""

    sizes: tuple[float, ...]
    loss: Losses


@dataclass(frozen=True)
class Trace:
    """How a Hessian's trace was computed, and why so."""

    how: str
    why: str


@dataclass(frozen=True)
class Network:
    """What was measured of one network; what was skipped is missing."""

    method: str
    seed: int
    train_top: tuple[float, ...]
    test_top: tuple[float, ...]
    noise_detail: Shaken | None = None
    noise_relative_detail: Shaken | None = None
    hessian_detail: Trace | None = None
    line: Losses = ()


@dataclass(frozen=True)
class Plane:
    """Training loss on a plane through one network of a method."""

    method: str
    seed: int
    at: tuple[float, ...]
    loss: tuple[Losses, ...]


@dataclass(frozen=True)
class Path:
    """Training loss on the straight way between two networks of a run."""

    method: str
    at: tuple[float, ...]
    loss: Losses


@dataclass(frozen=True)
class Epoch:
    """How the peers of a method compare in one epoch; None where it was not logged."""

    method: str
    epoch: int
    divergence: float | None
    divergence_sd: float | None
    agreement: float | None
    agreement_sd: float | None
    ratio: float | None


@dataclass(frozen=True)
class Examples:
    """How many examples were used: of weights with noise, and of each part."""

    shaken: int
    train: int
    test: int


@dataclass(frozen=True)
class Analysis:
    """What `codistill.analysis.analyze` gives."""

    folders: tuple[str, ...]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    baseline: str | None
    data: str
    device: str
    n: Examples
    networks: tuple[Network, ...]
    rows: tuple[MethodRow, ...]
    planes: tuple[Plane, ...]
    paths: tuple[Path, ...]
    peers: tuple[Epoch, ...]
    findings: tuple[Finding, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Analysis":
        """From JSON."""
        analysis: Analysis = _typed(cls, values)
        return analysis


def _typed(kind: Any, value: Any) -> Any:
    """A JSON value as what a type says: dataclasses, tuples, mappings and optional ones of those."""
    if value is None or kind is Any:
        return value
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{f.name: _typed(hints[f.name], value[f.name]) for f in fields(kind) if f.name in value})
    first, *_ = args = get_args(kind) or (kind,)
    if get_origin(kind) is UnionType:
        return _typed(first, value)
    if get_origin(kind) is tuple:
        return tuple(_typed(first, each) for each in value)
    return {key: _typed(args[1], each) for key, each in value.items()} if get_origin(kind) is Mapping else value


__all__ = ["Analysis", "Epoch", "MethodRow", "Network", "Value"]
