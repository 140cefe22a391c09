"""Which executor is the fastest one, and how many threads, by trying them on copies of the networks."""

import copy
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from codistill.batch import PerPeer
from codistill.cohort import Cohort
from codistill.cohort.groups import Rows, bundles
from codistill.randomness import seeded

MOST = 16  # networks that are tried
TRIALS = 6  # passes of each, in turns; the first is not counted
CLEARLY = 0.9  # of the others' seconds: what channels last must stay below to be taken, for the loop is any user's own


@dataclass(frozen=True)
class Trials:
    """What is tried on a cohort's first batch; its networks and all random numbers stay as they are.

    Attributes:
        nets: of all peers.
        x: the cohort's inputs.
        build: `Cohort`, with its precision and branch_at.
        turns: as of `Cohort`; trunks likewise.
        seed: of what the passes draw.
    """

    nets: Sequence[nn.Module]
    x: Any
    build: Callable[..., Cohort]
    turns: Rows
    trunks: Rows
    seed: int

    def executors(self) -> tuple[str, dict[str, float]]:
        """The fastest executor, and the seconds that a forward and backward pass of each took, at best.

        Where there is nothing to choose it is ``loop``, and nothing was timed.
        """
        names = list(candidates(self.nets, self.turns))
        if names == ["loop"]:
            return "loop", {}
        cohorts = {name: self._cohort(name) for name in names}
        seconds: dict[str, list[float]] = {name: [] for name in names}
        with seeded(cohorts["loop"].device, self.seed, "timing"):  # dropout draws
            for _ in range(TRIALS):
                for name in list(cohorts):
                    try:
                        seconds[name].append(self._seconds(cohorts[name]))
                    except (RuntimeError, NotImplementedError):
                        if name == "loop":
                            raise
                        del cohorts[name], seconds[name]
        best = {name: min(times[1:]) for name, times in seconds.items()}
        return chosen(best), best

    def threads(self, execute: str) -> tuple[int, dict[str, float]]:
        """One thread or torch's number of them, and the median seconds of each, by number.

        The median, since what it is about is threads that wait for a core which somebody else has.
        """
        most = torch.get_num_threads()
        if most == 1 or next(self.nets[0].parameters()).device.type != "cpu":
            return most, {}
        cohort = self._cohort(execute)
        seconds: dict[int, list[float]] = {most: [], 1: []}
        with seeded(cohort.device, self.seed, "timing"):
            for _ in range(TRIALS):
                for count, times in seconds.items():
                    with computing_with(count):
                        times.append(self._seconds(cohort))
        medians = {count: statistics.median(times[1:]) for count, times in seconds.items()}
        return min(medians, key=medians.__getitem__), {str(count): median for count, median in medians.items()}

    def _cohort(self, execute: str) -> Cohort:
        tried = slice(MOST)
        settings = {"turns": self.turns[tried], "trunks": self.trunks[tried]}
        return self.build([copy.deepcopy(net) for net in self.nets[tried]], execute=execute, **settings)

    def _seconds(self, cohort: Cohort) -> float:
        """Of one forward and backward pass."""
        x = PerPeer(self.x.inputs[:MOST]) if isinstance(self.x, PerPeer) else self.x
        started = time.perf_counter()
        cohort(x).logits.square().sum().backward()
        if cohort.device.type == "cuda":
            torch.cuda.synchronize(cohort.device)
        return time.perf_counter() - started


def candidates(nets: Sequence[nn.Module], turns: Rows) -> Iterator[str]:
    """The executors that may differ: a stack of like networks, channels last where there are convolutions."""
    yield "loop"
    if any(len(bundle) > 1 for bundle in bundles(nets, turns)):
        yield "stack"
    if any(parameter.dim() == 4 for net in nets for parameter in net.parameters()):
        yield "channels_last"


def chosen(seconds: dict[str, float]) -> str:
    """The fastest executor; channels last where it is clearly so."""
    others = {name: taken for name, taken in seconds.items() if name != "channels_last"}
    best = min(others, key=others.__getitem__)
    return "channels_last" if seconds.get("channels_last", torch.inf) < CLEARLY * seconds[best] else best


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """So many threads for torch's operations inside, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
