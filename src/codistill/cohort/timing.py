"""Which executor is the fastest one, and how many threads, by trying them on copies of the networks."""

import copy
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from codistill.batch import PerPeer
from codistill.cohort import Cohort, choices
from codistill.cohort.groups import Rows, bundles
from codistill.randomness import seeded

MOST = 16  # networks that are tried
TRIALS = 6  # passes of each, in turns; the first is not counted
MANY_TRIALS, LONG = 100, 0.3  # of threads: so many passes of each, or as many as took so many seconds in all
CLEARLY = 0.9  # of the others' seconds: what channels last, and several threads, must stay below to be taken


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

    def executors(self, threads: int | None = None) -> tuple[str, dict[str, float]]:
        """The fastest executor, and the seconds that a forward and backward pass of each took, at best.

        Where there is nothing to choose it is ``loop``, and nothing was timed. What was chosen is remembered, on disk
        too, for networks, inputs and a machine like these: see `codistill.cohort.choices`.

        Args:
            threads: with which they run; None: each with as many as suit it, see `counts`.
        """
        names = list(candidates(self.nets, self.turns))
        if names == ["loop"]:
            return "loop", {}
        return choices.executor(self._key(names, threads), partial(self._fastest, names, threads))

    def _fastest(self, names: Sequence[str], threads: int | None) -> tuple[str, dict[str, float]]:
        cohorts = {name: self._cohort(name) for name in names}
        seconds: dict[str, list[float]] = {name: [] for name in names}
        with seeded(cohorts["loop"].device, self.seed, "timing"):  # dropout draws
            for _, count in itertools.product(range(TRIALS), [threads] if threads else self.counts()):
                for name in list(cohorts):
                    try:
                        with computing_with(count):
                            seconds[name].append(self._seconds(cohorts[name]))
                    except (RuntimeError, NotImplementedError):
                        if name == "loop":
                            raise
                        del cohorts[name], seconds[name]
        best = {name: min(times[len(times) // TRIALS :]) for name, times in seconds.items()}
        return chosen(best), best

    def counts(self) -> list[int]:
        """How many threads are tried: torch's number of them, and on a CPU one."""
        most = torch.get_num_threads()
        return [most] if most == 1 or next(self.nets[0].parameters()).device.type != "cpu" else [most, 1]

    def threads(self, execute: str) -> tuple[int, dict[str, float]]:
        """One thread, or torch's number of them where that is clearly faster, and the mean seconds of each, by number.

        The mean over many passes: where somebody else has a core, threads that wait for it make some passes take many
        times as long as others.
        """
        counts = self.counts()
        if len(counts) == 1:
            return counts[0], {}
        return choices.threads(self._key(execute, counts), partial(self._threads, execute, counts))

    def _threads(self, execute: str, counts: Sequence[int]) -> tuple[int, dict[str, float]]:
        cohort = self._cohort(execute)
        seconds: dict[int, list[float]] = {count: [] for count in counts}
        with seeded(cohort.device, self.seed, "timing"):
            for trial in range(MANY_TRIALS):
                if trial >= TRIALS and sum(map(sum, seconds.values())) > LONG:
                    break
                for count, times in seconds.items():
                    with computing_with(count):
                        times.append(self._seconds(cohort))
        means = {count: statistics.fmean(times[1:]) for count, times in seconds.items()}
        most = counts[0] if means[counts[0]] < CLEARLY * means[1] else 1
        return most, {str(count): mean for count, mean in means.items()}

    def _key(self, *how: object) -> str:
        tried = slice(MOST)
        settings = repr(self.build), self.turns[tried], self.trunks[tried]
        x = self._inputs()
        return choices.key_of(self.nets[tried], x.inputs if isinstance(x, PerPeer) else x, *settings, *how)

    def _inputs(self) -> Any:
        return PerPeer(self.x.inputs[:MOST]) if isinstance(self.x, PerPeer) else self.x

    def _cohort(self, execute: str) -> Cohort:
        tried = slice(MOST)
        settings = {"turns": self.turns[tried], "trunks": self.trunks[tried]}
        return self.build([copy.deepcopy(net) for net in self.nets[tried]], execute=execute, **settings)

    def _seconds(self, cohort: Cohort) -> float:
        """Of one forward and backward pass."""
        x = self._inputs()
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
