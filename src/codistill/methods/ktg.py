"""The knowledge transfer graph."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from codistill.batch import Batch
from codistill.checks import number
from codistill.cohort import Cohort
from codistill.graph import Graph, along, along_edges
from codistill.losses.divergences.kl import kl
from codistill.losses.labels import cross_entropy
from codistill.methods import Method, Needs, Peers, Terms
from codistill.methods.parts.sources import Sources
from codistill.spec import UnknownName

GATES = ("through", "cutoff", "linear", "correct")
Gates = str | tuple[tuple[str, ...], ...]


class KTG(Method):
    """Every edge has a gate.  L_i = g_ii(CE(z_i, y)) + w * sum_j W_ij mean over samples of g_ij(T^2 KL(p_j^T || p_i^T))

    Minami et al., ACCV 2020, arXiv:1909.04286. A gate lets each sample's loss ``through``; or none, a ``cutoff``; or a
    part that grows with the progress of the training from 0 to 1, ``linear``; or, ``correct``, that of the samples
    which the source classifies correctly (the others count as 0 in the mean; without a label, none is correct).
    W_ij = 1, the sum over edges; w = T = 1.

    Args:
        gates: one name for all edges between networks, with labels let through; or, in Python, ``gates[i][j]`` of the
            edge from j to i, and ``gates[i][i]`` of that from the labels to i. Teachers are the last columns.
        weight: w.
        temperature: T.
        total: ``sum`` over the edges into a network, or their ``mean``, cutoffs not counted.
        teacher: frozen networks that are nodes too: a frozen cohort, or the folder of a finished run. None: no such.

    We differ: the graph is given, not searched for; linear goes from step to step.
    """

    title = "KTG"
    needs = Needs(peers=True, unlabelled=True)

    def __init__(
        self,
        gates: str | Sequence[Sequence[str]] = "through",
        weight: float = 1.0,
        temperature: float = 1.0,
        total: str = "sum",
        teacher: Cohort | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(gates, Sequence):
            raise ValueError(f"gates={gates!r}: give one of {', '.join(GATES)}, or, in Python, a matrix of them")
        given: Gates = gates if isinstance(gates, str) else tuple(map(tuple, gates))
        for name in [given] if isinstance(given, str) else [name for row in given for name in row]:
            if name not in GATES:
                raise UnknownName("gate", str(name), GATES)
        if total not in ("sum", "mean"):
            raise ValueError(f"total={total!r}: choose 'sum' or 'mean'")
        self.sources = Sources(teacher)

        def edges(*kinds: str, of: str = "networks") -> Graph:
            return Graph(partial(_weights, gates=given, kinds=kinds, total=total, of=of), "gates")

        self.through, self.linear, self.correct = edges("through"), edges("linear"), edges("correct")
        self.label, self.label_linear = edges("through", "correct", of="labels"), edges("linear", of="labels")
        self.graph: Graph = edges("through", "linear", "correct", of="peers")  # without the teachers
        self.weight = number("weight", weight)
        self.temperature = number("temperature", temperature, 1e-6)

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        students, sources = self.sources(cohort, batch.x)
        z, s, task = students.logits, sources.logits, batch.task  # [P, B, C]
        if self.sources.teacher is not None:
            s = torch.cat([cohort.share(z), s])  # [P + Q, B, C]
        y = batch.y.expand(z.shape if task == "multilabel" else z.shape[:-1])
        label = cross_entropy(z, batch.y, task=task, mask=batch.mask, smoothing=batch.smoothing)
        linear = 1.0 if progress is None else progress

        def own(i: Tensor, j: Tensor) -> Tensor:
            return label[i].unsqueeze(1)

        def where_correct(i: Tensor, j: Tensor) -> Tensor:
            values = kl(students=z[i], sources=s[j], task=task, temperature=self.temperature)
            return values.where(correct(s[j], y[i], task), 0.0)

        def imitated(graph: Graph) -> Tensor:
            return along(graph, kl, students=z, sources=s, task=task, temperature=self.temperature, mask=batch.mask)

        mimic = imitated(self.through) + linear * imitated(self.linear)
        mimic = mimic + along_edges(self.correct, where_correct, students=z, sources=len(s), mask=batch.mask)
        task_term = along_edges(self.label, own, students=z, sources=len(s))
        task_term = task_term + linear * along_edges(self.label_linear, own, students=z, sources=len(s))
        return {"task": task_term, "mimic": self.weight * mimic}


def correct(z: Tensor, y: Tensor, task: str) -> Tensor:
    """Which samples (tokens) logits ``[..., C]`` get right; with several labels, all of them."""
    if task in ("classes", "tokens"):
        return z.argmax(-1) == y
    said = z > 0
    return ((said == (y > 0)) & (y >= 0)).all(-1) if task == "multilabel" else (said.squeeze(-1) == (y > 0)) & (y >= 0)


def _weights(students: int, sources: int, gates: Gates, kinds: tuple[str, ...], total: str, of: str) -> Tensor:
    """W of the edges whose gate is one of these kinds: between ``networks``, from the ``labels``, between ``peers``."""
    if isinstance(gates, str):
        gates = tuple(tuple("through" if i == j else gates for j in range(sources)) for i in range(students))
    columns = {len(row) for row in gates}
    if len(gates) != students or (columns != {sources} if of != "peers" else min(columns) < students):
        raise ValueError(
            f"gates are {' and '.join(f'{len(gates)} x {n}' for n in sorted(columns))}, the cohort needs {students} x "
            f"{sources}: a row for each network that learns, a column for each that there is, teachers last"
        )
    open_ = torch.tensor([[name != "cutoff" for name in row[:sources]] for row in gates], dtype=torch.float64)
    w = torch.tensor([[name in kinds for name in row[:sources]] for row in gates], dtype=torch.float64)
    itself = torch.eye(students, sources, dtype=torch.float64)
    if of == "labels":
        return w * itself
    into = (open_ * (1.0 - itself)).sum(1, keepdim=True).clamp(min=1.0)
    return w * (1.0 - itself) / (into if total == "mean" else 1.0)


__all__ = ["KTG"]
