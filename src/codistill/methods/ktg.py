"""The knowledge transfer graph."""

from functools import partial

import torch
from torch import Tensor

from codistill.graph import along_edges
from codistill.methods import (
    Batch,
    Cohort,
    Graph,
    Imitation,
    Needs,
    Peers,
    Terms,
    kl,
    label_loss,
    mean_posterior,
)
from codistill.methods.parts.gates import GatesOption, classified, gates_by_name, open_edges
from codistill.methods.parts.options import Choice, Number, Temperature


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

    needs = Needs(peers=True, unlabelled=True, common=True)

    gates: GatesOption = GatesOption("through")
    weight: Number = Number(1.0)
    temperature: Temperature = Temperature(1.0)
    total: Choice = Choice("sum", "mean")
    teacher: Cohort | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.on == "unlabelled":
            self.check_private()

    def check_private(self) -> None:
        super().check_private()
        if "correct" in str(self.gates):
            raise ValueError("gates=correct judges by labels, and the samples that are compared have none: set another")

    def default_graph(self) -> Graph:
        return Graph(partial(open_edges, gates=self.gates, total=self.total), "gates")

    @property
    def peer_graph(self) -> Graph:
        """Without the teachers."""
        teachers = 0 if self.teacher is None else len(self.teacher)
        return Graph(lambda peers, _: self.graph.matrix(peers, peers + teachers)[:, :peers], "gates")

    def forward(self, cohort: Peers, batch: Batch, progress: float | None = None) -> Terms:
        z, s = self.logits(cohort, batch)  # [P, B, C]
        nodes = s if self.teacher is None else torch.cat([cohort.share(z), s])  # [P + Q, B, C]
        imitated, compare = self.target.logits(nodes, batch.task), self.target.compared_by(kl)
        y = batch.y.expand(z.shape if batch.task == "multilabel" else z.shape[:-1])
        has = gates_by_name(self.gates, len(z), len(nodes), z.device)
        rate = torch.where(has["linear"], 1.0 if progress is None else progress, 1.0).to(z.dtype)  # [P, P + Q]

        def others() -> Tensor:
            return mean_posterior(self.graph, nodes, len(z), batch.task)

        def gated(i: Tensor, j: Tensor) -> Tensor:  # [E, B]
            values = compare(students=z[i], sources=imitated[j], task=batch.task, temperature=self.temperature)
            each = (-1, *[1] * (values.dim() - 1))
            passes = classified(nodes[j], y[i], batch.task) | ~has["correct"][i, j].view(each)
            return values.where(passes, 0.0) * rate[i, j].view(each)

        labelled = ~has["cutoff"].diagonal() * rate.diagonal()
        compared = self.compared(batch)
        selected = self.selected(others, z, compared, progress)
        mimic = along_edges(self.graph, gated, students=z, sources=len(nodes), mask=compared.mask, selected=selected)
        return {"task": labelled * label_loss(z, batch), "mimic": self.weight * self.strength(progress) * mimic}


__all__ = ["KTG"]
