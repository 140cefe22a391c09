"""Gates on the edges of a graph, and from the labels: what of each sample's loss they let through."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

import torch
from torch import Tensor

from codistill.methods.parts.options import Option
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


def classified(z: Tensor, y: Tensor, task: str) -> Tensor:
    """Which samples (tokens) logits ``[..., C]`` get right; with several labels, all of them."""
    if task in ("classes", "tokens"):
        return z.argmax(-1) == y
    right = (((z.squeeze(-1) if task == "binary" else z) > 0) == (y > 0)) & (y >= 0)
    return right.all(-1) if task == "multilabel" else right
