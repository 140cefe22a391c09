"""What is compared: a study and its entries."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from torch import nn

from codistill import discovery, methods
from codistill.checks import whole
from codistill.cohort import Cohort
from codistill.jsonable import from_json
from codistill.run import Run
from codistill.spec import Spec
from codistill.study.rows import BASELINE, SETTINGS, Row, read_row, row_of, written
from codistill.training.initial_weights import untrained
from codistill.training.requirements import check_needs

ALONE = Spec(BASELINE)
POOLED = ("shards", "none")  # a row in a study of private labels that has them all
RING = "Graph ring: each student is taught by the next network trained alone, never by the one with its own start."


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes:
        recipe: its name.
        base: the settings that all runs share; tuned for the baseline.
        rows: what is compared; the text of a row will do.
        seeds: one run each.
        stacked: train all runs of one step size as one stacked cohort, which is faster for small networks; else one
            run after the other.
        notes: what a reader must know, printed below the table.
        part: what is measured on: ``test``, or ``valid`` where something is still to be chosen.
        published: figures of others for the same experiment, each with its source and how certain it is.
        quick: only a check that everything works: neither times nor intervals are measured.
        retrainings: trainings on each seed's labels; 2 tell how much changes from one to the next.
        retrained: how many of the seeds, the first ones, are trained on so often, and the others once; None: all.
        spread: of a paired difference over seeds, its standard deviation, where it is known from earlier results.
        question: what it is about, as the title of a chapter: "Peers with private labels".
    """

    recipe: str
    base: Run
    rows: tuple[Row, ...]
    seeds: tuple[int, ...]
    stacked: bool = True
    notes: tuple[str, ...] = ()
    part: str = "test"
    published: tuple[str, ...] = ()
    quick: bool = False
    retrainings: int = 1
    retrained: int | None = None
    spread: float | None = field(default=None, compare=False)
    question: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", tuple(dict.fromkeys(map(row_of, self.rows))))
        if not self.seeds:
            raise ValueError("seeds are empty: give at least one")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds={self.seeds}: give each seed once")
        whole("retrainings", self.retrainings)
        if self.retrained is not None:
            whole("retrained", self.retrained)
        _check_entries(self.entries)

    @cached_property
    def entries(self) -> tuple["Entry", ...]:
        """The rows with their runs, and whatever networks trained alone they need; the baseline first."""
        rows = list(self.rows)
        if not any(_is_baseline(row) for row in rows):
            rows.insert(0, Row(BASELINE))
        cohorts = [
            row.peers or self.base.peers
            for row in rows
            if methods.is_mutual(row.method) or (row.peers and not _is_baseline(row))
        ]
        most = max(cohorts, default=self.base.peers)
        entries = [_entry(row, self.base, most) for row in rows]
        wanted = [(peer, net) for entry in entries for peer, net in enumerate(entry.networks)]
        wanted += [(0, name) for entry in entries for name in entry.waits if name != ALONE]
        for peer, network in wanted:  # each is compared with one trained alone from the same start
            if not any(entry.alone and _has(entry.run, peer, network) for entry in entries):
                _check_pairs(entries, peer, network)
                row = Row(BASELINE, models=(network,), peers=max(peer + 1, _most(entries, network)))
                entries.append(_entry(row, self.base, most))
        entries.sort(key=lambda entry: not entry.alone)
        return tuple(entries)

    @property
    def trainings(self) -> list[tuple[int, int]]:
        """The seed and the number of each training of an entry."""
        often = len(self.seeds) if self.retrained is None else self.retrained
        times = [self.retrainings if number < often else 1 for number in range(len(self.seeds))]
        return [(seed, again) for seed, n in zip(self.seeds, times, strict=True) for again in range(n)]

    @property
    def footnotes(self) -> tuple[str, ...]:
        """What a reader must know of it: the notes, and who teaches whom."""
        ring = any(e.teacher == BASELINE and e.method.options.get("graph") == "ring" for e in self.entries)
        aside = [e.label for e in self.entries if e.leaves_unlabelled_aside(self.base)]
        note = f"{'; '.join(aside)}: cannot learn from unlabelled samples, and were trained without them."
        often = self.retrained is not None and self.retrained < len(self.seeds)
        notes = ((RING,) if ring else (), (note,) if aside else (), (self._retrained(),) if often else ())
        return (*self.notes, *itertools.chain(*notes))

    def _retrained(self) -> str:
        """Which seeds are trained on several times."""
        seeds = " ".join(map(str, self.seeds[: self.retrained]))
        return f"Seeds with {self.retrainings} trainings each, from which the churn is: {seeds}. The others have one."

    def alone(self, network: Spec, peer: int = 0) -> "Entry":
        """The entry of networks trained alone whose peer of this number is such a network; of `ALONE`, the baseline."""
        if network == ALONE:
            return self.entries[0]
        return next(entry for entry in self.entries if entry.alone and _has(entry.run, peer, network))

    def as_dict(self) -> Mapping[str, Any]:
        """For JSON: rows as text, under ``methods``."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values |= {"base": self.base.as_dict(), "rows": list(map(str, self.rows)), "rows_in_full": True}
        return {"methods" if name == "rows" else name: value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Study":
        """From JSON; what this version does not know is left out.

        Older ones do not have rows in full: these may leave out their teachers, and who teaches whom.
        """
        read = read_row if values.get("rows_in_full") else row_of
        return from_json(
            cls, {**values, "rows": tuple(map(read, values["methods"])), "base": Run.from_dict(values["base"])}
        )


@dataclass(frozen=True)
class Entry:
    """One row of the table: what was asked for, and the run that it comes to (with the base's seed)."""

    row: Row
    run: Run

    @property
    def method(self) -> Spec:
        return self.run.method

    @property
    def teacher(self) -> str | None:
        """Its method's teacher, as it is named; None without one."""
        teacher = self.method.options.get("teacher")
        return None if teacher is None else str(teacher)

    @property
    def alone(self) -> bool:
        """Whether these are networks trained alone, that others are compared with."""
        return _is_baseline(self.row)

    @property
    def networks(self) -> tuple[Spec, ...]:
        """Its networks, whether or not they start trained."""
        return tuple(map(untrained, self.run.networks()))

    @property
    def waits(self) -> tuple[Spec, ...]:
        """What it needs of this study's networks trained alone: `ALONE`, or the specs of networks."""
        teacher = None if self.teacher is None else Spec.of(self.teacher)
        taught = teacher is not None and (teacher == ALONE or teacher.name in discovery.available("codistill.models"))
        begun = [untrained(net) for net in self.run.networks() if untrained(net) != net]
        return (*((teacher,) if taught and teacher else ()), *begun)

    @property
    def cohort(self) -> int:
        """Networks that must be trained to get one such network (a teacher not counted)."""
        return self.run.peers if methods.is_mutual(self.method) else 1

    def leaves_unlabelled_aside(self, base: Run) -> bool:
        """Whether the study has unlabelled samples of which it makes no use."""
        return bool(base.unlabelled and not self.run.unlabelled and self.row.setting("unlabelled") is None)

    @property
    def name(self) -> str:
        """Its spec, with its settings of the run."""
        return str(Spec(self.method.name, self.method.args, {**self._peers, **self._settings, **self.method.options}))

    @property
    def label(self) -> str:
        """For tables."""
        options = {k: v for k, v in self.method.options.items() if (k, v) != ("teacher", BASELINE)}
        names = [methods.find(self.method).title, *(f"{peers} networks" for peers in self._peers.values())]
        return ", ".join([*names, *(_shown(*option) for option in {**self._settings, **options}.items())])

    @property
    def _peers(self) -> Mapping[str, int]:
        return {"peers": self.run.peers} if methods.is_mutual(self.method) else {}

    @property
    def _settings(self) -> Mapping[str, object]:
        return {name: written(value) for name, value in self.row.settings if name != "peers"}


def _shown(name: str, value: object) -> str:
    """An option in a label."""
    return "all labels pooled" if (name, value) == POOLED else f"{name.replace('_', ' ')} {value}"


def _check_pairs(entries: Sequence[Entry], peer: int, network: Spec) -> None:
    """A row of networks trained alone that was asked for must have enough of them."""
    for entry in entries:
        if entry.alone and _has(entry.run, 0, network):
            raise ValueError(
                f"{entry.name!r} has peers={entry.run.peers}, and network {peer} of another row is to be compared "
                f"with one of the same start: give it {_most(entries, network)}, or leave it out (it is added)"
            )


def _has(run: Run, peer: int, network: Spec) -> bool:
    return peer < run.peers and run.networks()[peer] == network


def _most(entries: Sequence[Entry], network: Spec) -> int:
    """The largest number of peers up to such a network in any row."""
    return max((i + 1 for e in entries for i, net in enumerate(e.networks) if net == network), default=1)


def _is_baseline(row: Row) -> bool:
    return row.method == ALONE and not {name for name, _ in row.settings} - {"models", "peers"}


def _check_entries(entries: Sequence[Entry]) -> None:
    """Rows must differ, and each must have networks trained alone to be compared with."""
    private = {entry.run.peers: entry.name for entry in entries if entry.run.private}
    if len(private) > 1:
        raise ValueError(
            f"shards: {' and '.join(map(repr, private.values()))} have {' and '.join(map(str, private))} networks, so "
            "their shards are not the same: give all rows the same peers"
        )
    for number, entry in enumerate(entries):
        _check_method(entry.run)
        if any(entry.run == other.run or entry.name == other.name for other in entries[:number]):
            raise ValueError(f"{entry.name!r} is given twice: leave one out")
        if entry.teacher == BASELINE and entry.run.peers < 2 and methods.find(entry.method).needs.teacher != "past":
            raise ValueError(
                f"peers=1: {entry.name!r} needs a teacher other than the student's own twin, but only one network is "
                "trained alone: set peers to 2 or more, or teacher to a run's folder"
            )


def _check_method(run: Run) -> None:
    """Options and needs of a method, before anything is trained; a stand-in serves for its teacher."""
    teacher = run.method.options.get("teacher")
    stand_in = {} if teacher is None else {"teacher": Cohort([nn.Linear(1, 2)]).freeze()}
    check_needs(methods.get(run.method, **stand_in), run)


def _entry(row: Row, base: Run, most: int) -> Entry:
    method = methods.find(row.method)
    what = f"method {row.method.name!r}, or setting of a run,"
    discovery.check_options(what, row.method.options, discovery.options_of(method), also=tuple(SETTINGS))
    peers = row.peers or (base.peers if methods.is_mutual(row.method) else most)
    settings = {**dict(row.settings), "peers": peers}
    if base.unlabelled and not method.needs.unlabelled:
        settings.setdefault("unlabelled", 0)
    return Entry(row, base.replace(method=row.method, **settings))
