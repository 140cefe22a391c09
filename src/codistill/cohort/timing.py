"""Which executor is the faster one, by trying both."""

import copy
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from codistill.batch import PerPeer
from codistill.cohort import Cohort
from codistill.cohort.groups import Rows, arrange
from codistill.randomness import seeded

MOST = 16  # networks on which the executors are timed
TRIALS = 6  # passes of each, in turns; the first is not counted and the fastest counts


def fastest(
    nets: Sequence[nn.Module], x: Any, build: Callable[..., Cohort], *, turns: Rows, trunks: Rows, seed: int
) -> tuple[str, dict[str, float]]:
    """The faster executor of a cohort, and the seconds that a forward and backward pass of each took.

    Args:
        nets: of all peers; copies of the first like ones are tried.
        x: the cohort's inputs.
        build: `Cohort`, with its precision and branch_at.
        turns: as of `Cohort`; trunks likewise.
        seed: of what the passes draw.

    Returns: ``stack`` or ``loop``; without like networks ``loop``, and nothing was timed.
    """
    group = next((g for g in arrange(nets, "stack", turns) if len(g.peers) > 1), None)
    if group is None:
        return "loop", {}
    like = list(group.peers[:MOST])
    if isinstance(x, PerPeer):
        x = PerPeer(x.inputs[like])
    cohorts = {
        execute: build(copy.deepcopy([nets[i] for i in like]), execute=execute, trunks=[trunks[i] for i in like])
        for execute in ("stack", "loop")
    }
    seconds: dict[str, list[float]] = {execute: [] for execute in cohorts}
    with seeded(cohorts["loop"].device, seed, "timing"):  # dropout draws
        for _ in range(TRIALS):
            for execute in list(cohorts):
                try:
                    seconds[execute].append(_seconds(cohorts[execute], x))
                except (RuntimeError, NotImplementedError):
                    if execute == "loop":
                        raise
                    del cohorts[execute], seconds[execute]
    best = {execute: min(times[1:]) for execute, times in seconds.items()}
    return min(best, key=best.__getitem__), best


def _seconds(cohort: Cohort, x: Any) -> float:
    """Of one forward and backward pass."""
    started = time.perf_counter()
    cohort(x).logits.square().sum().backward()
    if cohort.device.type == "cuda":
        torch.cuda.synchronize(cohort.device)
    return time.perf_counter() - started
