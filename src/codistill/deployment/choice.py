"""Which network of a run is taken: a number, a model, the best on validation data, or all together. Never by the test
part, on which nothing may be chosen.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codistill import files
from codistill.checkpoint import read_runs
from codistill.deployment.naming import public
from codistill.description import Network
from codistill.spec import Spec, UnknownName

BEST, ENSEMBLE = "best", "ensemble"
MEASURES = ("map", "accuracy")  # the first that validation has


@dataclass(frozen=True)
class Choice:
    """Networks of a run.

    Attributes:
        peers: their numbers in the run.
        name: for people: ``network 1 (cnn)``.
        why: for people: ``the best of 2 on validation data, accuracy 91.2 %``.
        ensemble: whether they are used together.
    """

    peers: tuple[int, ...]
    name: str
    why: str
    ensemble: bool = False


def choose(folder: Path, networks: Sequence[Network], run: int, wanted: int | str) -> Choice:
    """What is meant by a number, a model's spec, ``best`` or ``ensemble``.

    Args:
        folder: of the run, or of several.
        networks: of the run.
        run: number of the run in the folder.
        wanted: see `codistill.load`.

    Raises:
        ValueError: no such network.
    """
    count = len(networks)
    if wanted == ENSEMBLE:
        models = ", ".join(dict.fromkeys(public(network.model) for network in networks))
        return Choice(tuple(range(count)), f"the ensemble of {count} networks ({models})", "all of them", ensemble=True)
    text = str(wanted)
    if text.lstrip("-").isdigit():
        if int(text) not in range(count):
            raise ValueError(f"network={text}: this run has the networks 0 to {count - 1}")
        return Choice((int(text),), _name(networks, int(text)), "by its number")
    peers = range(count) if wanted == BEST else _of_model(networks, text)
    figures = validation(folder, run, count)
    if len(peers) == 1:
        peer, why = peers[0], "the only one" if wanted == BEST else f"the only one of model {public(text)}"
    elif figures is None:
        peer, why = peers[0], f"the first of {len(peers)}: nothing was measured on validation data"
    else:
        peer = max(peers, key=lambda number: (figures[1][number], -number))
        why = f"the best of {len(peers)} on validation data, {figures[0]} {figures[1][peer]:.2%}"
    return Choice((peer,), _name(networks, peer), why)


def _of_model(networks: Sequence[Network], model: str) -> Sequence[int]:
    """The numbers of the networks that a spec, or the name of one, means."""
    text = str(Spec.of(model))
    for place in range(3):
        if found := [number for number, network in enumerate(networks) if _names(network)[place] == text]:
            return found
    there = dict.fromkeys([BEST, ENSEMBLE, *(network.model for network in networks)])
    raise UnknownName("network of this run", model, [*there, *map(str, range(len(networks)))])


def _names(network: Network) -> tuple[str, str, str]:
    """What a network may be called, the most exact first."""
    return network.model, network.kind, re.split("[:,]", network.kind)[0]


def _name(networks: Sequence[Network], number: int) -> str:
    return f"network {number} ({public(networks[number].kind)})"


def validation(folder: Path, run: int, count: int) -> tuple[str, list[float]] | None:
    """What was measured on validation data, and each network's figure; None where nothing was.

    The results of the finished run where they are on the validation part; else the log: the best epoch of each network
    where the run kept that, and the last one otherwise.
    """
    results = [r for r in lines(folder / "results.jsonl") if r.get("part") == "valid" and r.get("number", 0) == run]
    single = {r["peer"]: r for r in results if r.get("peer") is not None}
    for measure in MEASURES:
        if len(single) == count and all(measure in r for r in single.values()):
            return measure, [single[peer][measure] for peer in range(count)]
    epochs: dict[int, list[Mapping[str, Any]]] = {}
    for line in lines(folder / "log.jsonl"):
        if line.get("kind") == "epoch":
            epochs.setdefault(line["epoch"], []).append(line)  # the runs of a folder, in their order
    of_run = [runs[run] for runs in epochs.values() if run < len(runs)]
    measured = [line["valid_accuracy"] for line in of_run if "valid_accuracy" in line]
    if not measured:
        return None
    if read_runs(folder)[0].keep == "best_valid":
        return "accuracy", [max(values) for values in zip(*measured, strict=True)]
    return "accuracy", measured[-1]


def lines(path: Path) -> Sequence[Mapping[str, Any]]:
    """The objects of a JSON-lines file; in a log, which grows, what was cut short or is damaged is left out.

    Raises:
        ValueError: results are damaged.
    """
    if not path.is_file() or path.name != "log.jsonl":
        return files.read_lines(path)
    found = []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        with suppress(files.Damaged):
            found.append(files.read_line(text, str(path)))
    return found
