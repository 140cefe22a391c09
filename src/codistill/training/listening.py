"""A silo in training: what its peer predicts is noted, and the others predict what was told of them."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from codistill import methods
from codistill.checkpoint import Tensors
from codistill.cohort.told import Told
from codistill.data.examples import Examples
from codistill.exchange.rounds import Silo
from codistill.losses.posterior import log_posterior
from codistill.methods import Imitation, Method
from codistill.training.fleet import Fleet

MEANS = ("dml", "dml_ensemble", "codistillation")  # methods that need no more of others than their mean posterior


class Listening:
    """A fleet's part in rounds: what its peer predicts is noted, and the others predict what was told of them.

    Attributes:
        own: posteriors ``[N, C]`` of the samples that all have, as this peer predicted when it last saw each; zeros:
            not yet.
        mix: the same of the others, as they were told last.

    Raises:
        ValueError: a method that needs more of the others than their mean posterior, or another task.
    """

    def __init__(self, silo: Silo, fleet: Fleet) -> None:
        self.silo, self.fleet, self.member = silo, fleet, fleet.members[0]
        check_method(self.member.method, fleet)
        pool = fleet.streams.extra[0].examples
        self.pool = digest(pool)
        self.own = torch.zeros(len(pool), fleet.dataset.classes, dtype=fleet.streams.dtype, device=fleet.device)
        self.others = [group for group in fleet.cohort.every_group if isinstance(group, Told)]
        self.is_told = False
        self._take_over(torch.zeros_like(self.own))

    @property
    def temperature(self) -> float:
        """T of the posteriors that cross."""
        temperature = self.member.method.temperature
        assert isinstance(temperature, int | float)
        return float(temperature)

    def _take_over(self, mix: Tensor) -> None:
        self.mix = mix.to(self.own)
        tiny = torch.finfo(self.mix.dtype).tiny
        self.logits = self.temperature * self.mix.clamp(min=tiny).log()  # whose posterior at T is the mix
        self.fleet.streams.told = self.mix.sum(-1) > 0

    def renew(self, step: int) -> Mapping[str, Any] | None:
        """Let the others predict for this step what was told of them.

        Returns: at the first step after a question, ``until`` which step it goes, the peers that the mix is ``of``, of
        how many samples something is ``known``, and the bytes that were ``received`` and, in the end, are ``sent``;
        None at others.
        """
        facts = None if self.is_told else self._hear()
        common = self._common(step)
        told = self.logits.new_zeros(self._index(step).shape[1], self.own.shape[1])
        told[-len(common) :] = self.logits[common]
        for other in self.others:
            other.tell(told)
        return facts

    def _hear(self) -> Mapping[str, Any]:
        self.is_told = True
        question = self.silo.question
        assert question is not None  # nothing is trained without one
        mix = question.mix
        if mix is not None:
            if mix.shape != self.own.shape:
                raise ValueError(
                    f"peer {self.silo.peer} is told of {list(mix.shape)} samples and classes and has "
                    f"{list(self.own.shape)}: give all silos the same samples without a label, and the same classes"
                )
            self._take_over(mix)
        return {
            "until": question.until,
            "of": list(question.present),
            "known": int((self.mix.sum(-1) > 0).sum()),
            "received": mix.nbytes if mix is not None else 0,
            "sent": self.own.nbytes,
        }

    def publish(self, step: int) -> None:
        """After the step before this one: note what the peer has predicted in it."""
        z = self.fleet.cohort[self.silo.peer].latest()[0]
        common = self._common(step - 1)
        p = log_posterior(z[-len(common) :], self.fleet.dataset.task, self.temperature).exp()
        self.own[common] = p.to(self.own.dtype)

    def _common(self, step: int) -> Tensor:
        """The numbers, among the samples that all have, of those in a step."""
        return self._index(step)[0, -self.fleet.run.unlabelled :] - self.fleet.streams.first

    def _index(self, step: int) -> Tensor:
        epoch, within = divmod(step, self.fleet.steps)
        return self.fleet.streams.draw((epoch, within, 0))[2]

    def state(self) -> Tensors:
        """For a checkpoint."""
        return {"own": self.own, "mix": self.mix, "pool": self.pool}

    def restore(self, tensors: Tensors) -> None:
        """The inverse of `state`.

        Raises:
            ValueError: they are of other samples.
        """
        if not tensors["pool"].equal(self.pool):
            raise ValueError("the samples without a label are others than those it was trained with")
        self.own = tensors["own"].to(self.own).clone()
        self._take_over(tensors["mix"].clone())


def check_method(method: Method, fleet: Fleet) -> None:
    """A method whose peers need more of each other than the mean of their posteriors is an error."""
    run, task = fleet.run, fleet.dataset.task
    if task != "classes":
        raise ValueError(f"task={task!r}: silos tell each other posteriors of classes; use data of the task 'classes'")
    what = f"method={str(run.method)!r}: silos are told the mean of the others' posteriors as of the last round"
    if run.method.name not in MEANS or not isinstance(method, Imitation):
        raise ValueError(f"{what}; use dml, dml_ensemble or codistillation:exchange=logits")
    if getattr(method, "exchange", "logits") != "logits":
        raise ValueError(
            f"{what}, which is what exchange={method.exchange!r} does in one process: use dml_ensemble or "
            f"codistillation:exchange=logits, and every={getattr(method, 'exchange_every', 50)} steps between rounds"
        )
    wanted = {"mean": "arithmetic", "include_self": False}
    for name, value in wanted.items():
        if getattr(method, name, value) != value:
            raise ValueError(f"{what}, not {name}={getattr(method, name)!r}: leave it out")
    if not getattr(method, "divergence", methods.kl).linear:
        raise ValueError(f"{what}; from which only divergence=kl is the same as from each of them: leave it out")
    if not isinstance(method.temperature, int | float):
        raise ValueError(f"{what} at one temperature: give a number")
    if run.method.name == "dml" and run.method.options.get("target", "soft") != "soft":
        raise ValueError(f"{what}: with target={run.method.options['target']!r} use dml_ensemble")
    if bool(method.graph.matrix(run.peers).diagonal().any()):
        raise ValueError(f"{what}: set the diagonal of graph to 0")


def digest(pool: Examples) -> Tensor:
    """Eight bytes of the samples that all have, in their order; of images in files, of how many there are."""
    x = pool.x
    content = x.cpu().contiguous().numpy().tobytes() if isinstance(x, Tensor) else b""
    found = hashlib.blake2b(content + str(tuple(x.shape)).encode(), digest_size=8).digest()
    return torch.tensor(list(found), dtype=torch.uint8)
