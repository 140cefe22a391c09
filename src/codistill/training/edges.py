"""How far peers are from each other while they learn; logged in every epoch, whatever the method makes of it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from codistill.batch import Batch
from codistill.cohort.stepcache import StepCache
from codistill.cohort.told import Told
from codistill.losses.posterior import log_posterior
from codistill.methods import Imitation
from codistill.metrics.pairs import agreement, kl_matrix
from codistill.training.fleet import Fleet, Member

MEASURED_STEPS = 8  # of an epoch, about

Edges = dict[str, Tensor]


def is_measured(step: int, steps: int) -> bool:
    """Whether a step of an epoch is one of those on which edges are measured."""
    return step % max(1, steps // MEASURED_STEPS) == 0


def edges(logits: Tensor, task: str = "classes") -> Edges:
    """Of every pair of peers, on the same samples.

    Args:
        logits: ``[runs, P, B, ..., C]``.
        task: see `log_posterior`.

    Returns: ``edges [runs, P, P]``, the mean over samples of KL(p_j || p_i) in nats, row i the student and column j
    the source; ``agree [runs, P, P]``, the fraction of the samples on which both choose the same class (or side).
    """
    variables = logits.shape[-1] if task == "multilabel" else 1  # two outcomes each; their divergences are summed
    log_p = log_posterior(logits.detach(), task).flatten(2, -2)  # [runs, P, N, C]
    log_p = log_p.clamp(min=torch.finfo(log_p.dtype).min)  # a log cannot hold infinity
    return {"edges": variables * kl_matrix(log_p), "agree": agreement(log_p)}


def measure_edges(fleet: Fleet, cache: StepCache, batches: Sequence[Batch]) -> list[Edges]:
    """The `edges` of every member with several peers, from what the step has computed; no pass is made for it.

    Beside them stands what `Imitation.kept` says of this step, where a method selects samples.

    Of peers with labels of their own, on the unlabelled samples that are common to all; nothing is said where there are
    none, or where no method asks for its batch's outputs.
    """
    if (fleet.run.private and not fleet.run.unlabelled) or cache.batch not in cache.entries:
        return [_kept(member) for member in fleet.members]
    return [_of(member, batch) | _kept(member) for member, batch in zip(fleet.members, batches, strict=True)]


def _kept(member: Member) -> Edges:
    """The fraction of the compared samples that each peer's method selected, ``[runs, P]``; 0 before it has any."""
    method = member.method
    if not isinstance(method, Imitation) or method.select is None:
        return {}
    kept = torch.zeros(len(member.peers), device=member.view.device) if method.kept is None else method.kept
    return {"kept": kept.view(len(member.runs), -1)}


def _of(member: Member, batch: Batch) -> Edges:
    peers = member.run.peers
    if peers < 2 or any(isinstance(group, Told) for group in member.view.parts()):
        return {}
    logits = member.view(batch.x).logits
    if batch.private:
        logits = logits[:, -member.run.unlabelled :]
    return edges(logits.reshape(len(member.runs), peers, *logits.shape[1:]), batch.task)
