"""What ``target=top:k`` leaves out: its KL and its gradient beside the exact ones, over random posteriors.

python benchmarks/top_targets.py

Logits are normal, those of the student normal around those of the source; the same seed gives the same table on every
machine, to rounding. Beside the sum of the others as one class, `codistill` does this, the k largest made to sum to 1,
which many programs do.
"""

import json
from pathlib import Path

import torch
from torch import Tensor

from codistill.description import versions
from codistill.losses.divergences.kl import kl, relative_entropy
from codistill.losses.grouped import Grouped

CASES = ((1000, 3.0), (250_000, 3.0), (250_000, 5.0))  # classes, standard deviation of the source's logits
APART = 1.0  # standard deviation of the student's around them
LARGEST = (1, 5, 20, 100, 1000)
SAMPLES = 32
RESULTS = Path(__file__).parent / "results"


def largest_alone(source: Tensor, student: Tensor, k: int) -> Tensor:
    """KL of the k largest, made to sum to 1, from all classes of the student."""
    top, where = source.topk(k, -1)
    return relative_entropy(top.log_softmax(-1), student.gather(-1, where))


def row(source: Tensor, z: Tensor, k: int) -> dict[str, float]:
    """Means over samples: the probability that is told, the share of the exact KL, and the gradients' errors."""
    leaf = z.clone().requires_grad_()
    student = leaf.log_softmax(-1)
    values = [kl.between(source, student), Grouped(kl, k).between(source, student), largest_alone(source, student, k)]
    exact, *cut = (torch.autograd.grad(value.sum(), leaf, retain_graph=True)[0] for value in values)
    apart = [((g - exact).norm(dim=-1) / exact.norm(dim=-1)).mean().item() for g in cut]
    told = source.topk(k, -1).values.exp().sum(-1).mean().item()
    share = (values[1] / values[0]).mean().item()
    return {
        "k": k,
        "exact": values[0].mean().item(),
        "told": told,
        "share": share,
        "error": apart[0],
        "alone": apart[1],
    }


def main() -> None:
    """Measure, print the table, and keep both in `benchmarks/results`."""
    measured = "exact KL | k | probability told | KL, of the exact | gradient's error | of k alone | numbers"
    columns = f"classes, spread | {measured}"
    found, lines = [], [f"| {columns} |", "| ---" + " | ---:" * columns.count("|") + " |"]
    for classes, spread in CASES:
        draw = torch.Generator().manual_seed(0)
        z = spread * torch.randn(SAMPLES, classes, dtype=torch.float64, generator=draw)
        student = z + APART * torch.randn(SAMPLES, classes, dtype=torch.float64, generator=draw)
        for k in (k for k in LARGEST if k < classes):
            values = row(z.log_softmax(-1), student, k)
            found.append({"classes": classes, "spread": spread, **values})
            shown = "{exact:.3f} | {k:,} | {told:.1%} | {share:.1%} | {error:.3f} | {alone:.3f}".format(**values)
            lines.append(f"| {classes:,}, {spread:g} | {shown} | {2 * k + 1:,} |")
    print("\n".join(lines))
    command = {
        "command": "python benchmarks/top_targets.py",
        "versions": versions(),
        "samples": SAMPLES,
        "apart": APART,
    }
    (RESULTS / "top_targets.json").write_text(json.dumps({**command, "rows": found}, indent=1) + "\n", "utf-8")
    (RESULTS / "top_targets.md").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
