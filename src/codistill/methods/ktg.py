"""The knowledge transfer graph."""

from collections.abc import Sequence
from functools import lru_cache, partial
from itertools import chain

import torch
from torch import Tensor

from codistill.graph import along_edges, same_classes
from codistill.losses.divergences.kl import kl
from codistill.methods import Batch, Cohort, Graph, Imitation, Needs, Peers, Terms, label_loss
from codistill.methods.parts.options import Number, Option, Temperature
from codistill.spec import UnknownName

GATES = ("through", "cutoff", "linear", "correct")
Gates = str | tuple[tuple[str, ...], ...]


class GatesOption(Option[str | Sequence[Sequence[str]], Gates]):
    """One gate for all edges between networks, or, row by row, those of the labels too."""

    def check(self, setting: str, given: str | Sequence[Sequence[str]]) -> Gates:
        if not isinstance(given, Sequence):
            raise ValueError(f"{setting}={given!r}: give one of {', '.join(GATES)}, or, in Python, a matrix of them")
        for name in [given] if isinstance(given, str) else chain.from_iterable(given):
            if name not in GATES:
                raise UnknownName("gate", str(name), GATES)
        return given if isinstance(given, str) else tuple(map(tuple, given))


class KTG(Imitation):
    """Every edge has a gate.  L_i = g_ii(CE(z_i, y)) + w * sum_j W_ij mean over samples of g_ij(T^2 KL(p_j^T || p_i^T))

    Minami et al., ACCV 2020, arXiv:1909.04286. A gate lets each sample's loss ``through``; or none, a ``cutoff``; or a
    fraction that grows with the progress of the training from 0 to 1, ``linear``; or, ``correct``, that of the samples
    which the source classifies correctly (the others count as 0 in the mean; without a label, none is correct).
    W_ij = 1, the sum over edges; w = T = 1.

    Args:
        gates: one name for all edges between networks, with labels let through; or, in Python, ``gates[i][j]`` of the
            edge from j to i, and ``gates[i][i]`` of that from the labels to i. Teachers are the last columns.
        total: ``sum`` over the edges into a network, or their ``mean``, cutoffs not counted.
        teacher: frozen networks that are nodes too: a frozen cohort, or the folder of a finished run. None: no such.

    We differ: the graph is given, not searched for; linear goes from step to step.
    """

    title = "KTG"
    needs = Needs(peers=True, unlabelled=True)

    gates: GatesOption = GatesOption("through")
    weight: Number = Number(1.0)
    temperature: Temperature = Temperature(1.0)
    total: str = "sum"
    teacher: Cohort | None = None

    def default_graph(self) -> Graph:
        if self.total not in ("sum", "mean"):
            raise ValueError(f"total={self.total!r}: choose 'sum' or 'mean'")
        return Graph(partial(open_edges, gates=self.gates, total=self.total), "gates")

    @property
    def peer_graph(self) -> Graph:
        """Without the teachers."""
        teachers = 0 if self.teacher is None else len(self.teacher)
        return Graph(lambda peers, _: self.graph.matrix(peers, peers + teachers)[:, :peers], "gates")

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, s = self.logits(cohort, batch)  # [P, B, C]
        nodes = s if self.teacher is None else torch.cat([cohort.share(z), s])  # [P + Q, B, C]
        same_classes(z, nodes)
        y = batch.y.expand(z.shape if batch.task == "multilabel" else z.shape[:-1])
        has = gates_by_name(self.gates, len(z), len(nodes), z.device)
        rate = torch.where(has["linear"], 1.0 if progress is None else progress, 1.0).to(z.dtype)  # [P, P + Q]

        def gated(i: Tensor, j: Tensor) -> Tensor:  # [E, B]
            values = kl(students=z[i], sources=nodes[j], task=batch.task, temperature=self.temperature)
            each = (-1, *[1] * (values.dim() - 1))
            passes = classified(nodes[j], y[i], batch.task) | ~has["correct"][i, j].view(each)
            return values.where(passes, 0.0) * rate[i, j].view(each)

        labelled = ~has["cutoff"].diagonal() * rate.diagonal()
        mimic = along_edges(self.graph, gated, students=z, sources=len(nodes), mask=batch.mask)
        return {"task": labelled * label_loss(z, batch), "mimic": self.weight * mimic}


def classified(z: Tensor, y: Tensor, task: str) -> Tensor:
    """Which samples (tokens) logits ``[..., C]`` get right; with several labels, all of them."""
    if task in ("classes", "tokens"):
        return z.argmax(-1) == y
    right = (((z.squeeze(-1) if task == "binary" else z) > 0) == (y > 0)) & (y >= 0)
    return right.all(-1) if task == "multilabel" else right


@lru_cache(maxsize=64)
def gates_by_name(gates: Gates, students: int, nodes: int, device: torch.device | None = None) -> dict[str, Tensor]:
    """Of each name, which gates have it, ``[students, nodes]``; on the diagonal those of the labels."""
    if isinstance(gates, str):
        gates = tuple(tuple("through" if i == j else gates for j in range(nodes)) for i in range(students))
    columns = {len(row) for row in gates}
    if len(gates) != students or columns != {nodes}:
        raise ValueError(
            f"gates are {' and '.join(f'{len(gates)} x {n}' for n in sorted(columns))}, the cohort needs {students} x "
            f"{nodes}: a row for each network that learns, a column for each that there is, teachers last"
        )
    return {name: torch.tensor([[gate == name for gate in row] for row in gates], device=device) for name in GATES}


def open_edges(students: int, nodes: int, gates: Gates, total: str) -> Tensor:
    """W: 1 where there is a gate, or 1 over their number."""
    w = (~gates_by_name(gates, students, nodes)["cutoff"]).double().fill_diagonal_(0.0)
    return w / (w.sum(1, keepdim=True).clamp(min=1.0) if total == "mean" else 1.0)


__all__ = ["KTG"]
