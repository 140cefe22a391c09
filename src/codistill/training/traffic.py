"""How much peers tell each other in a training, beside what averaging their weights or gradients would send."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from torch import nn

from codistill.cohort.remote import Remote
from codistill.exchange.rounds import Silo
from codistill.methods import Method
from codistill.methods.parts.exchange import Exchange
from codistill.run import Run
from codistill.training.fleet import Fleet, Member

BYTES = 4  # of a number, in float32


@dataclass(frozen=True)
class Flow:
    """Samples that a step draws, of as many as a pass over them holds."""

    batch: int
    samples: int

    def until(self, step: int) -> int:
        """How many were drawn before a step; the last batch of a pass may be smaller."""
        passes, steps = divmod(step, ceil(self.samples / self.batch))
        return passes * self.samples + min(steps * self.batch, self.samples)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What one peer sends, each message counted once, whoever reads it.

    Attributes:
        what: see `Exchange`.
        messages: in the whole training.
        numbers: in a message, at most; None where that is not known (features).
        total: numbers in the whole training, at most.
        parameters: of one network, the mean over the peers: the numbers in a message of weights, or of gradients.
        steps: of the training.
    """

    what: str
    messages: int
    numbers: int | None
    total: int | None
    parameters: int
    steps: int

    @property
    def size(self) -> float:
        """Bytes of a number; a choice is a bit."""
        return 1 / 8 if self.what == "choices" else BYTES


def count(exchange: Exchange, flows: Sequence[Flow], *, per_sample: int, parameters: int, steps: int) -> Traffic:
    """The traffic of an exchange about some flows of samples, with so many numbers for each sample.

    With rounds (``every`` above 1), a message holds each of the samples that were drawn since the last one once.
    """
    first, rounds = ceil(exchange.begins * steps - 1e-9), steps // exchange.every
    per_sample = 1 if exchange.what == "choices" else per_sample
    numbers: int | None
    total: int | None
    if exchange.what == "features":
        messages, numbers, total = steps - first, None, None
    elif exchange.what == "weights":
        messages, numbers, total = rounds, parameters, rounds * parameters
    elif exchange.every > 1:
        numbers = per_sample * sum(min(exchange.every * flow.batch, flow.samples) for flow in flows)
        messages, total = rounds, rounds * numbers
    else:
        messages, numbers = steps - first, per_sample * sum(flow.batch for flow in flows)
        total = per_sample * sum(flow.until(steps) - flow.until(first) for flow in flows)
    return Traffic(
        what=exchange.what, messages=messages, numbers=numbers, total=total, parameters=parameters, steps=steps
    )


def traffic_of(fleet: Fleet) -> list[Traffic | None]:
    """That of each run, in their order; None where peers tell each other nothing, or are branches of one network."""
    of_runs = {run: _of_member(fleet, member) for member in fleet.members for run in member.runs}
    return [of_runs[run] for run in fleet.runs]


def _of_member(fleet: Fleet, member: Member) -> Traffic | None:
    exchange, run = member.method.tells, member.run
    if exchange is None or run.peers < 2 or run.branch_at is not None:
        return None
    times = {"together": 1, "in_turn": min(2, run.peers - 1), "fresh_batch": run.peers - 1}[run.update]
    if isinstance(fleet.shared, Silo):
        return _in_rounds(fleet, fleet.shared)
    task, classes = fleet.dataset.task, fleet.dataset.classes
    told = exchange.numbers(classes) if task in ("classes", "tokens") else classes  # of a variable nothing is left out
    per_sample = times * told * (fleet.dataset.train.y.shape[1] if task == "tokens" else 1)
    flows = _flows(fleet, member.method, run, exchange)
    parameters = _parameters(fleet, member.peers)
    return count(exchange, flows, per_sample=per_sample, parameters=parameters, steps=fleet.total)


def _in_rounds(fleet: Fleet, silo: Silo) -> Traffic:
    """That of a silo, which answers in every round with all that it predicts for the common samples."""
    messages, numbers = ceil(fleet.total / silo.every), len(fleet.streams.extra[0].examples) * fleet.dataset.classes
    return Traffic(
        what="posteriors",
        messages=messages,
        numbers=numbers,
        total=messages * numbers,
        parameters=fleet.cohort.parameter_count,
        steps=fleet.total,
    )


def _flows(fleet: Fleet, method: Method, run: Run, exchange: Exchange) -> list[Flow]:
    """The samples that peers have in common, as far as the exchange is about them."""
    streams, private = fleet.streams, run.private and not method.needs.shards
    common = [] if private or exchange.on == "unlabelled" else [(streams.loaders[0], run.batch)]
    common += [] if exchange.on == "labelled" else [(loader, run.unlabelled) for loader in streams.extra[:1]]
    return [Flow(batch, min(loader.steps * batch, len(loader.examples))) for loader, batch in common]


def _parameters(fleet: Fleet, peers: range) -> int:
    total = 0
    for leaf in fleet.cohort.leaves():
        mine = len([peer for peer in leaf.peers if peer in peers]) if isinstance(leaf.tensor, nn.Parameter) else 0
        total += leaf.shape.numel() // (len(leaf.peers) if leaf.stacked else 1) * mine
    remote = [group for group in fleet.cohort.every_group if isinstance(group, Remote)]
    total += sum(size for g in remote for peer, size in zip(g.peers, g.sizes, strict=True) if peer in peers)
    return total // len(peers)


__all__ = ["Flow", "Traffic", "count", "traffic_of"]
