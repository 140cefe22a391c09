"""What is compared: a study and its rows."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from inspect import Parameter, signature
from typing import Any

from torch import nn

from codistill import discovery, methods
from codistill.cohort import Cohort
from codistill.run import Run
from codistill.spec import Spec, UnknownName, Value, parse_value
from codistill.training.initial_weights import TRAINED, untrained
from codistill.training.requirements import check_needs

BASELINE = TRAINED


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes:
        recipe: its name.
        base: the settings that all runs share; tuned for the baseline.
        methods: specs, which may also set a run's settings: ``dml:peers=4,temperature=3,update=in_turn``; those that
            are lists are joined by ``+``, with ``;`` for a comma in them: ``dml:models=cnn+mlp:width=9;start=alone``.
            A network with ``start=alone`` starts as what it became when trained alone. A ``teacher`` may be ``alone``
            (the networks trained alone) or the spec of a network, which is then trained alone too.
        seeds: one run each.
        stacked: train all runs of one size of step as one stacked cohort, the faster way for small networks; else one
            run after the other.
        notes: what a reader has to know, printed below the table.
        part: what is measured on: ``test``, or ``valid`` where something is still to be chosen.
        published: figures of others for the same experiment, each with its source and how sure it is.
        quick: only a look whether all is in place: neither times nor intervals are measured.
    """

    recipe: str
    base: Run
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    stacked: bool = True
    notes: tuple[str, ...] = ()
    part: str = "test"
    published: tuple[str, ...] = ()
    quick: bool = False

    def __post_init__(self) -> None:
        if not self.seeds:
            raise ValueError("seeds are empty: give at least one")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds={self.seeds}: give each seed once")
        object.__setattr__(self, "methods", tuple(dict.fromkeys(self.methods)))
        _check_entries(self.entries)

    @cached_property
    def entries(self) -> tuple["Entry", ...]:
        """The rows, the baseline first."""
        specs = [Spec.parse(text) for text in self.methods]
        if not any(_is_baseline(spec) for spec in specs):
            specs.insert(0, Spec(BASELINE))
        asked = [
            _peers(spec, self.base)
            for spec in specs
            if methods.is_mutual(str(spec)) or ("peers" in spec.options and not _is_baseline(spec))
        ]
        most = max(asked, default=self.base.peers)
        entries = [_entry(spec, self.base, most) for spec in specs]
        wanted = [(i, net) for entry in entries for i, net in enumerate(entry.networks)]
        wanted += [(0, name) for entry in entries for name in entry.waits if name != BASELINE]
        for place, network in wanted:  # every network has one trained alone, with the same start, to be compared with
            if not any(entry.alone and _has(entry.run, place, network) for entry in entries):
                _check_pairs(entries, place, network)
                spec = Spec(
                    BASELINE, (), {"models": _text((network,)), "peers": max(place + 1, _most(entries, network))}
                )
                entries.append(_entry(spec, self.base, most))
        entries.sort(key=lambda entry: not entry.alone)
        return tuple(entries)

    def alone(self, network: str, place: int = 0) -> "Entry":
        """The row of the networks trained alone that has such a network in this place."""
        return next(entry for entry in self.entries if entry.alone and _has(entry.run, place, network))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "base": self.base.as_dict()}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> "Study":
        """From JSON."""
        known = {field.name for field in fields(cls)}
        kept: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in found.items() if k in known}
        return cls(**{**kept, "base": Run.from_dict(found["base"])})


@dataclass(frozen=True)
class Entry:
    """One row: a method with its options, and how it is run."""

    run: Run
    teacher: str | None
    settings: tuple[tuple[str, Any], ...]  # of the run, other than the base's; peers apart

    @property
    def method(self) -> str:
        return self.run.method

    @property
    def alone(self) -> bool:
        """Whether these are networks trained alone, that others are compared with."""
        return self.method == BASELINE and not {name for name, _ in self.settings} - {"models"}

    @property
    def networks(self) -> tuple[str, ...]:
        """Its networks' specs, without the word that they start trained."""
        return tuple(map(untrained, self.run.networks()))

    @property
    def waits(self) -> tuple[str, ...]:
        """What it needs of this study's networks trained alone: `BASELINE`, or networks' specs."""
        taught = self.teacher is not None and (self.teacher == BASELINE or _is_network(self.teacher))
        begun = [untrained(net) for net in self.run.networks() if untrained(net) != net]
        return (*((str(self.teacher),) if taught else ()), *begun)

    @property
    def cohort(self) -> int:
        """Networks that have to be trained to get one such network (a teacher not counted)."""
        return self.run.peers if methods.is_mutual(self.method) else 1

    @property
    def name(self) -> str:
        """Its spec, with what it sets of the run."""
        spec = Spec.parse(self.method)
        peers = {"peers": self.run.peers} if methods.is_mutual(self.method) else {}
        settings = {name: _text(value) for name, value in self.settings}
        return str(Spec(spec.name, spec.args, {**peers, **settings, **spec.options}))

    @property
    def label(self) -> str:
        """For tables."""
        spec = Spec.parse(self.method)
        options = {k: v for k, v in spec.options.items() if k not in ("teacher", "graph")}
        parts = [methods.find(self.method).title]
        if methods.is_mutual(self.method):
            parts.append(f"{self.run.peers} networks")
        said = {**{name: _text(value) for name, value in self.settings}, **options}
        return ", ".join([*parts, *(f"{k.replace('_', ' ')} {v}" for k, v in said.items())])


def _listed(setting: str, value: Value) -> tuple[Any, ...]:
    """A setting that is a list, as a spec writes it: ``crop:pad=4;mode=zeros+flip``."""
    words = str(value).replace(";", ",").split("+")
    return tuple(map(parse_value, words)) if setting == "betas" else tuple(words)


def _text(value: Any) -> Any:
    return "+".join(map(str, value)).replace(",", ";") if isinstance(value, tuple) else value


def _check_pairs(entries: Sequence["Entry"], place: int, network: str) -> None:
    """A row of networks trained alone that somebody asked for has to have enough of them."""
    for entry in entries:
        if entry.alone and _has(entry.run, 0, network):
            raise ValueError(
                f"{entry.name!r} has peers={entry.run.peers}, and network {place} of another row is to be compared "
                f"with one of the same start: give it {_most(entries, network)}, or leave it out (it is added)"
            )


def _is_network(teacher: str) -> bool:
    """Whether a teacher is one of our networks by name, and not a folder or somebody's function."""
    return teacher != BASELINE and Spec.parse(teacher).name in discovery.available("codistill.models")


def _has(run: Run, place: int, network: str) -> bool:
    return place < run.peers and run.networks()[place] == network


def _most(entries: Sequence["Entry"], network: str) -> int:
    """Up to which place some row has such a network."""
    return max((i + 1 for e in entries for i, net in enumerate(e.networks) if net == network), default=1)


def _is_baseline(spec: Spec) -> bool:
    return spec.name == BASELINE and not set(spec.options) - {"models", "peers"}


def _peers(spec: Spec, base: Run) -> int:
    peers = spec.options.get("peers", base.peers)
    if type(peers) is not int:
        raise ValueError(f"{spec}: peers={peers!r}: give the number of networks")
    return peers


def _check_entries(entries: Sequence[Entry]) -> None:
    """Rows have to be told apart, and paired with networks trained alone."""
    for number, entry in enumerate(entries):
        _check_method(entry.run)
        if any(entry.run == other.run or entry.name == other.name for other in entries[:number]):
            raise ValueError(f"{entry.name!r} is there twice: leave one out")
        if entry.teacher == BASELINE and entry.run.peers < 2 and methods.find(entry.method).needs.teacher != "past":
            raise ValueError(
                f"peers=1: {entry.name!r} learns from another network trained alone than its own twin, and there is "
                "one: set peers to 2 or more, or teacher to the folder of a run"
            )


def _check_method(run: Run) -> None:
    """Options and needs of a method, before anything is trained; a stand-in serves for its teacher."""
    given = Spec.parse(run.method).options.get("teacher")
    teacher = {} if given is None else {"teacher": Cohort([nn.Linear(1, 2)]).freeze()}
    check_needs(methods.get(run.method, **teacher), run)


def _check_options(method: str, options: Iterable[str], own: Sequence[str], of_run: Sequence[str]) -> None:
    """What is neither a method's option nor a run's setting is an error that names the nearest of both."""
    for option in options:
        if option not in own:
            near = difflib.get_close_matches(option, of_run, cutoff=0.5)  # all of them would be a long list
            raise UnknownName(f"option of method {method!r}, or setting of a run,", option, [*own, *near])


def _entry(spec: Spec, base: Run, most: int) -> Entry:
    of_run = {field.name: field.default for field in fields(Run) if field.name not in ("method", "seed")}
    settings: dict[str, Any] = {
        k: _listed(k, v) if isinstance(of_run[k], tuple) else v for k, v in spec.options.items() if k in of_run
    }
    if len(settings.get("models", ())) > 1:
        settings.setdefault("peers", len(settings["models"]))
    options = {k: v for k, v in spec.options.items() if k not in of_run}
    method = methods.find(str(spec))
    parameters = signature(method).parameters
    _check_options(spec.name, options, [*parameters], [*of_run])
    teacher = options.get("teacher")
    if "teacher" not in options and "teacher" in parameters and parameters["teacher"].default is Parameter.empty:
        teacher = options["teacher"] = BASELINE
    if teacher == BASELINE and "graph" in parameters and method.needs.teacher != "past":
        # Each from the next network trained alone: of the same size, and its own twin only where the method says so.
        options.setdefault("graph", "ring")
    peers = settings.pop("peers", base.peers if methods.is_mutual(str(spec)) else most)
    run = base.replace(method=str(Spec(spec.name, spec.args, options)), peers=peers, **settings)
    return Entry(run, None if teacher is None else str(teacher), tuple(settings.items()))
