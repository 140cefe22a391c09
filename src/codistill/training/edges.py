"""How far peers are from each other while they learn; logged in every epoch, whatever the method makes of it."""

import torch
from torch import Tensor

from codistill.batch import Batch
from codistill.cohort.memory import Memory
from codistill.losses.posterior import log_posterior
from codistill.metrics.pairs import agreement, kl_matrix
from codistill.training.fleet import Fleet, Member

WATCHED_STEPS = 8  # of an epoch, about

Watched = dict[str, Tensor]


def is_watched(step: int, steps: int) -> bool:
    """Whether a step of an epoch is one of those that are looked at."""
    return step % max(1, steps // WATCHED_STEPS) == 0


def between(logits: Tensor, task: str = "classes") -> Watched:
    """Of every pair of peers, on the same samples.

    Args:
        logits: ``[blocks, P, B, ..., C]``.
        task: see `log_posterior`.

    Returns: ``edges [blocks, P, P]``, the mean over samples of KL(p_j || p_i) in nats, row i the student and column j
    the source; ``agree [blocks, P, P]``, the part of the samples on which both choose the same class (or side).
    """
    variables = logits.shape[-1] if task == "multilabel" else 1  # two outcomes each; their divergences are summed
    log_p = log_posterior(logits.detach(), task).flatten(2, -2)  # [blocks, P, N, C]
    log_p = log_p.clamp(min=torch.finfo(log_p.dtype).min)  # a log has no place for infinity
    return {"edges": variables * kl_matrix(log_p), "agree": agreement(log_p)}


def look(fleet: Fleet, memory: Memory, whole: object, batches: list[Batch]) -> list[Watched]:
    """`between` of every member with several peers, from what the step has computed; no pass is made for it.

    Nothing is said of peers with samples of their own, or where a method does not ask for its batch's outputs.
    """
    if fleet.run.shards or not memory.has(whole):
        return [{} for _ in fleet.members]
    return [_of(member, batch) for member, batch in zip(fleet.members, batches, strict=True)]


def _of(member: Member, batch: Batch) -> Watched:
    peers = member.runs[0].peers
    if peers < 2:
        return {}
    logits = member.view(batch.x).logits
    return between(logits.reshape(len(member.runs), peers, *logits.shape[1:]), batch.task)


__all__ = ["Watched", "between", "is_watched", "look"]
