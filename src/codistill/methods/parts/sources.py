"""Whom students imitate: a frozen teacher, or each other."""

from typing import Any

import torch
from torch import nn

from codistill.cohort import Cohort, Outputs
from codistill.graph import Graph, complete, everyone, named
from codistill.methods import Peers


class Sources(nn.Module):
    """A frozen teacher where there is one, else the peers themselves.

    Args:
        teacher: a frozen cohort, or None for the peers.
        graph: W[student, source], by name, matrix or as a `Graph`; None: all teachers, or all other peers, alike.

    Raises:
        ValueError: the teacher is not a frozen cohort.
    """

    def __init__(self, teacher: Cohort | None, graph: str | Graph | None = None) -> None:
        super().__init__()
        if teacher is not None and not (isinstance(teacher, Cohort) and teacher.fixed):
            what = f"a {type(teacher).__name__}" + (" that still learns" if isinstance(teacher, Cohort) else "")
            raise ValueError(f"teacher is {what}: give a frozen cohort (cohort.frozen()), a folder, or none for peers")
        self.teacher = teacher
        self.graph: Graph = named(graph) if graph is not None else everyone() if teacher is not None else complete()

    @property
    def peer_graph(self) -> Graph | None:
        """Who learns from whom among the peers; None where there is a teacher."""
        return self.graph if self.teacher is None else None

    def tap(self, cohort: Peers, *names: str) -> None:
        """Ask students and sources for features, by submodule."""
        for name in names:
            cohort.tap(name)
            if self.teacher is not None:
                self.teacher.tap(name)

    def forward(self, cohort: Peers, x: Any) -> tuple[Outputs, Outputs]:
        """What the students make of the inputs, and what they are to imitate (detached)."""
        students = cohort(x)
        if self.teacher is None:
            sources = students
        else:
            with torch.no_grad():
                sources = self.teacher(x)
        features = {name: cohort.share(feature) for name, feature in sources.features.items()}
        return students, Outputs(cohort.share(sources.logits), features)
