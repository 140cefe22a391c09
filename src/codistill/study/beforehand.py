"""What can be known to be wrong with any row of a study, said before the first one is trained."""

from collections.abc import Iterator, Mapping

import torch

from codistill.data.examples import DataSet
from codistill.data.split import limited
from codistill.randomness import derive
from codistill.run import Run
from codistill.study.entries import Study
from codistill.training.build import dataset_of
from codistill.training.fleet import shards_of
from codistill.training.given import Given
from codistill.training.initial_weights import network, untrained
from codistill.training.requirements import OWN, check_runs
from codistill.training.streams import Streams

DATA = ("data", "data_root", "download")


def check_rows(study: Study, given: Given) -> None:
    """Load the data of all rows and draw their parts for every seed, and build one network of every kind.

    Nothing is computed with them. A study whose rows have all settings in common is left to its training, which does
    the same before its first step.

    Raises:
        ValueError: names the row: an empty common pool, a shard without labels, a network that cannot be built.
        OSError: data are missing.
    """
    kinds = dict(_kinds(study))
    if len(kinds) < 2:
        return
    sets: dict[tuple[object, ...], DataSet] = {}
    built: set[object] = set()
    for name, run in kinds.items():
        try:
            _check(run, study.seeds, given, sets, built)
        except (ValueError, OSError) as error:
            if not _differs(run, study):
                raise
            kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
            raise kind(f"row {name!r}: {error}") from None


def _kinds(study: Study) -> Iterator[tuple[str, Run]]:
    """The first entry of those that have all settings in common but method, peers and networks, by its name."""
    known: list[Mapping[str, object]] = []
    for entry in study.entries:
        shared = {k: v for k, v in entry.run.as_dict().items() if k not in OWN or k == "models"}
        if shared not in known:
            known.append(shared)
            yield entry.name, entry.run


def _differs(run: Run, study: Study) -> bool:
    """Whether a row has settings of its own."""
    base = study.base.as_dict()
    return any(value != base[name] for name, value in run.as_dict().items() if name not in ("method", "seed", "peers"))


def _check(
    run: Run, seeds: tuple[int, ...], given: Given, sets: dict[tuple[object, ...], DataSet], built: set[object]
) -> None:
    check_runs([run])
    source = tuple(getattr(run, name) for name in DATA)
    if source not in sets:
        sets[source] = dataset_of(run, given.get("dataset"))
    dataset = limited(sets[source], run.limit)
    for seed in seeds:
        Streams(run, [seed], dataset, torch.device("cpu"), shards_of(run)).close()
    for spec in map(untrained, run.networks()):
        if (source, spec) not in built:
            built.add((source, spec))
            network(spec, dataset, derive(run.seed, "init", 0), load=False, factories=given.get("factories") or {})


__all__ = ["check_rows"]
