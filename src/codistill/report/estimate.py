"""How long a training will take, how much memory it needs and what it writes, from its first steps."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from codistill.training.records import Record

WARM_UP, TIMED = 2, 5  # steps
KEPT = 2  # checkpoints of a training
MOMENTS = {"sgd": 1, "adam": 2, "adamw": 2}  # per parameter


@dataclass(frozen=True)
class Estimate:
    """What a training will need.

    Attributes:
        seconds: of all steps, and of a comparison's timing of each method by itself; evaluations are not in it.
        part: seconds of the part that was timed; the others are scaled by the passes that their methods declare.
        parts: how many there are.
        memory: bytes that were needed at most so far, of the process or on the GPU.
        disk: bytes of all checkpoints that stay.
        timing: seconds of these in which a comparison times its methods one by one at its end; 0 where it does not.
    """

    seconds: float
    part: float
    parts: int
    memory: int
    disk: int
    timing: float = 0.0


class Estimator:
    """Looks at the records of a training, and has an estimate after its first steps, once.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.start: Record | None = None
        self.begun = 0.0
        self.done = False

    def see(self, record: Record) -> Estimate | None:
        """The estimate, where this record makes it known."""
        if self.done:
            return None
        if record.kind == "start":
            self.start = record
        elif record.kind == "step" and self.start:
            return self._step(self.start, record)
        return None

    def _step(self, start: Record, record: Record) -> Estimate | None:
        steps = record.step - start.step
        last = min(WARM_UP + TIMED, start.steps - start.step)
        warm = min(WARM_UP, last - 1)
        if steps == 1 and not warm:  # a single step cannot be timed without its warm-up
            self.done = True
        if steps == warm:
            _wait(record)
            self.begun = self.clock()
        if steps != last or not warm:
            return None
        _wait(record)
        self.done = True
        return _estimate(start, (self.clock() - self.begun) / (last - warm))


def _wait(record: Record) -> None:
    """Wait until the device has done the step."""
    for terms in record.terms:
        for term in terms.values():
            term.sum().item()


def _estimate(start: Record, seconds: float) -> Estimate:
    facts = start.facts
    part, timing = seconds * start.steps, seconds * facts.get("timing_steps", 0.0)
    networks = facts.get("all_networks", facts["networks"])
    size = {"float64": 8}.get(facts["settings"]["precision"], 4)
    each = facts["parameters"][0] * size * (1 + MOMENTS[facts["settings"]["optimizer"]])
    memory = (
        torch.cuda.max_memory_allocated(facts["device"]) if str(facts["device"]).startswith("cuda") else _resident()
    )
    return Estimate(
        seconds=part / facts.get("work", 1.0) + timing,
        part=part,
        parts=facts.get("parts", 1),
        memory=memory,
        disk=KEPT * networks * each,
        timing=timing,
    )


def _resident() -> int:
    """Bytes of the process at most so far; 0 where the system does not say."""
    if sys.platform == "win32":
        return 0
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def said_of(estimate: Estimate) -> str:
    """An estimate in words."""
    part = f" in {estimate.parts} parts, the first {duration(estimate.part)}" if estimate.parts > 1 else ""
    timing = f", with {duration(estimate.timing)} of timing each method by itself at the end" if estimate.timing else ""
    memory = f"memory {amount(estimate.memory)}, " if estimate.memory else ""
    return (
        f"Estimate: {duration(estimate.seconds)}{part}{timing} (from the first steps; setting up and evaluation "
        f"come on top); {memory}checkpoints {amount(estimate.disk)}."
    )


def duration(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3 h 05 min``, ``2 days 3 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 36:
        return f"{hours} h {rest:02d} min"
    return f"{hours // 24} days {hours % 24} h"


def amount(size: float) -> str:
    """Bytes: ``640 kB``, ``12 MB``, ``3.4 GB``."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


__all__ = ["Estimate", "Estimator", "amount", "duration", "said_of"]
