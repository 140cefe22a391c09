"""Silos that meet in rounds: what each predicts for the samples that all have is mixed for the others.

Between two rounds a silo trains by itself, on data that nobody else sees. Nothing but a `Question` goes to it and
nothing but an `Answer` comes from it, whatever carries them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from codistill.checks import whole


@dataclass(frozen=True, eq=False)
class Question:
    """What a silo is told, and asked for: its answer once it has made so many steps.

    Attributes:
        until: steps of the whole training.
        every: steps between two rounds.
        present: the peers that the mix is of.
        mix: posteriors ``[N, C]`` of the N samples that all have, the mean of this peer's sources by the graph; zeros
            where a source has not seen a sample. None: nothing new is known.
    """

    until: int
    every: int
    present: tuple[int, ...] = ()
    mix: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """What a silo tells.

    Attributes:
        peer: whose network.
        step: how many steps it has made.
        posteriors: ``[N, C]``, what it predicted when it last saw each of the samples that all have; zeros: not yet.
        pool: a digest of those samples, by which it is seen that all have the same in the same order.
    """

    peer: int
    step: int
    posteriors: Tensor
    pool: str


@dataclass(frozen=True, eq=False)
class Silo:
    """One party's part: it trains one peer on data of its own, and knows of the others what it was told.

    Attributes:
        peer: which.
        every: steps between two rounds.
        question: what it was told last; None where nothing is to be trained.
    """

    peer: int
    every: int
    question: Question | None = None

    def __post_init__(self) -> None:
        whole("peer", self.peer, 0)
        whole("every", self.every)

    @property
    def own(self) -> tuple[int, ...]:
        """The peers that are trained here."""
        return (self.peer,)

    def to_json(self) -> Mapping[str, int]:
        """For ``silo.json``."""
        return {"peer": self.peer, "every": self.every}

    @classmethod
    def from_json(cls, settings: Mapping[str, int]) -> Self:
        """The inverse of `to_json`."""
        return cls(settings["peer"], settings["every"])


@dataclass(frozen=True, eq=False)
class Round:
    """What has happened in a round.

    Attributes:
        until: steps of those who have answered.
        questions: by the peers that were asked.
        answers: by the peers that have answered.
    """

    until: int
    questions: Mapping[int, Question]
    answers: Mapping[int, Answer]

    @property
    def sent(self) -> int:
        """Bytes of the mixes."""
        return sum(question.mix.nbytes for question in self.questions.values() if question.mix is not None)

    @property
    def received(self) -> int:
        """Bytes of the posteriors."""
        return sum(answer.posteriors.nbytes for answer in self.answers.values())


Ask = Callable[[Callable[[int | None], Question]], tuple[Mapping[int, Question], Mapping[int, Answer]]]


def rounds(weights: Tensor, steps: int, every: int, ask: Ask) -> Iterator[Round]:
    """The server's side: rounds after every so many steps, the last one after all.

    A peer that does not answer in a round is in nobody's mix in the next one.

    Args:
        weights: ``[P, P]`` of the graph, W[student, source].
        steps: of the whole training.
        every: steps between two rounds.
        ask: puts the question that belongs to a peer (None: one that is not known yet, to which nothing is told) to
            each peer that is there, and gives what those that have answered were asked and answered.

    Raises:
        ValueError: answers that do not fit together, see `mixed`.
    """
    answers: Mapping[int, Answer] = {}
    for until in [*range(every, steps, every), steps]:
        present, mixes = tuple(sorted(answers)), mixed(weights, answers)

        def question(
            peer: int | None,
            until: int = until,
            present: tuple[int, ...] = present,
            mixes: Mapping[int, Tensor] = mixes,
        ) -> Question:
            return Question(until, every) if peer is None else Question(until, every, present, mixes.get(peer))

        questions, answers = ask(question)
        yield Round(until, questions, answers)


def mixed(weights: Tensor, answers: Mapping[int, Answer]) -> dict[int, Tensor]:
    """What each peer is told: the mean posterior of its sources that have answered, by their weights.

    Args:
        weights: ``[P, P]``, W[student, source].
        answers: by peer; none: nobody is told anything.

    Returns: by peer ``[N, C]``, each row a distribution, or zeros where one of the sources has not seen the sample, or
    nobody has answered from whom this peer learns.

    Raises:
        ValueError: peers with other samples in common, or other classes; numbers that are no posteriors.
    """
    if not answers:
        return {}
    check_alike(answers)
    peers = sorted(answers)
    p = torch.stack([answers[peer].posteriors for peer in peers])  # [present, N, C]
    w = weights[:, peers].to(p.dtype)
    w = w / w.sum(1, keepdim=True).clamp(min=torch.finfo(p.dtype).tiny)
    seen = (p.sum(-1) > 0).to(p.dtype)
    known = w @ seen > 1.0 - 1e-6  # [P, N]: by all sources that are there
    return dict(enumerate(torch.einsum("ij,jnc->inc", w, p) * known.unsqueeze(-1)))


def check_alike(answers: Mapping[int, Answer]) -> None:
    """Peers that do not speak of the same samples, or not of posteriors, are an error."""
    first = min(answers)
    for peer, answer in answers.items():
        one, other = answers[first], answer
        if not bool((other.posteriors >= 0).all() & (other.posteriors.sum(-1) < 1.01).all()):
            raise ValueError(f"peer {peer} answered with numbers that are no posteriors: look into its log")
        if one.posteriors.shape != other.posteriors.shape:
            raise ValueError(
                f"peer {peer} predicts {list(other.posteriors.shape)} samples and classes, peer {first} "
                f"{list(one.posteriors.shape)}: give all the same samples without a label, and the same classes"
            )
        if one.pool != other.pool:
            raise ValueError(
                f"peers {first} and {peer} have other samples without a label: give all the same ones in the same order"
            )


__all__ = ["Answer", "Ask", "Question", "Round", "Silo", "check_alike", "mixed", "rounds"]
