"""Distillation from a frozen teacher."""

import torch

from codistill.batch import Batch
from codistill.cohort import Cohort
from codistill.graph import Graph, along, named
from codistill.losses.cross_entropy import cross_entropy
from codistill.losses.kl import kl
from codistill.methods import Method, Peers, Terms, number


class KD(Method):
    """Every student imitates frozen teachers.  L_i = a CE(z_i, y) + w * sum_j W_ij T^2 KL(p_j^T || p_i^T)

    Hinton et al. 2015, arXiv:1503.02531; a = 0.1, w = 0.9, T = 4 as in megvii-research/mdistiller.

    Args:
        teacher: a frozen cohort; `codistill.train` also takes the folder of a finished run.
        weight: w.
        task_weight: a.
        temperature: T.
        graph: ``everyone`` (the mean over all teachers), ``ring`` (student i from teacher i + 1), or a matrix
            ``[students][teachers]``.
    """

    title = "KD"

    def __init__(
        self,
        teacher: Cohort,
        weight: float = 0.9,
        task_weight: float = 0.1,
        temperature: float = 4.0,
        graph: str | Graph = "everyone",
    ) -> None:
        super().__init__()
        if not isinstance(teacher, Cohort) or not teacher.fixed:
            raise ValueError(f"teacher={teacher!r}: give a frozen cohort (cohort.frozen()), or in a run a folder")
        self.teacher = teacher
        self.sources = named(graph)
        self.weight = number("weight", weight)
        self.task_weight = number("task_weight", task_weight)
        self.temperature = number("temperature", temperature, 1e-6)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z = cohort(batch.x).logits  # [P, B, C]
        with torch.no_grad():
            teachers = self.teacher.share(self.teacher(batch.x).logits)  # [Q, B, C]
        mimic = along(
            self.sources,
            kl,
            students=z,
            sources=teachers,
            task=batch.task,
            temperature=self.temperature,
            mask=batch.mask,
        )
        task = cross_entropy(z, batch.y, task=batch.task, mask=batch.mask)
        return {"task": self.task_weight * task, "mimic": self.weight * mimic}


__all__ = ["KD"]
