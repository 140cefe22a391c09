"""What speaks against the trainings of a study, row by row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from codistill.study.differences import Key
from codistill.study.entries import Entry, Study
from codistill.training.decisions import Decisions
from codistill.training.learnt import KINDS, Doubt, above_chance, named_peers, nothing_learnt


@dataclass(frozen=True, kw_only=True)
class RowDoubt:
    """What speaks against some networks of a row.

    Attributes:
        kind: as of `codistill.training.learnt.Doubt`.
        method: the row's name.
        label: the row's, for tables.
        networks: how many it is about, over all seeds.
        of: how many the row has.
        seeds: in which.
        peers: their numbers in their runs.
        text: what it is, in the worst of them, and what may help.
    """

    kind: str
    method: str
    label: str
    networks: int
    of: int
    seeds: tuple[int, ...]
    peers: tuple[int, ...]
    text: str

    def __str__(self) -> str:
        seeds = f"seed{'s' if len(self.seeds) > 1 else ''} {' '.join(map(str, self.seeds))}"
        return f"{self.label}, {self.networks} of {self.of} networks ({seeds}, {named_peers(self.peers)}): {self.text}"


Found = Mapping[Key, Sequence[Doubt]]


def row_doubts(study: Study, found: Found) -> tuple[RowDoubt, ...]:
    """The doubts about a study's trainings, one for each row and kind; the worst kind first."""
    every = [doubt for entry in study.entries for doubt in _of_row(study, entry, found)]
    return tuple(sorted(every, key=lambda doubt: KINDS.index(doubt.kind)))


def _of_row(study: Study, entry: Entry, found: Found) -> Iterator[RowDoubt]:
    own = [(seed, doubt) for (name, seed, _), each in found.items() if name == entry.name for doubt in each]
    for kind in dict.fromkeys(doubt.kind for _, doubt in own):
        same = [(seed, doubt) for seed, doubt in own if doubt.kind == kind]
        yield RowDoubt(
            kind=kind,
            method=entry.name,
            label=entry.label,
            networks=sum(len(doubt.peers) for _, doubt in same),
            of=len(study.trainings) * entry.run.peers,
            seeds=tuple(sorted({seed for seed, _ in same})),
            peers=tuple(sorted({peer for _, doubt in same for peer in doubt.peers})),
            text=max((doubt for _, doubt in same), key=lambda doubt: doubt.value).text,
        )


def nothing_learnt_in(study: Study, ended: Sequence[Key], decisions: Mapping[Key, Decisions], found: Found) -> bool:
    """Whether no network of a study has learnt anything, see `nothing_learnt`; ``ended``: the trainings that have
    results.
    """
    peers = {entry.name: entry.run.peers for entry in study.entries}
    exploded = {key: doubt.peers for key, each in found.items() for doubt in each if doubt.kind == "exploded"}
    return nothing_learnt(
        [
            value
            for key in dict.fromkeys(ended)
            for value in above_chance(decisions.get(key), peers[key[0]], exploded.get(key, ()))
        ]
    )


__all__ = ["RowDoubt", "nothing_learnt_in", "row_doubts"]
