"""50 labelled digits and the others without label: four networks learn what the others choose, on both.

python examples/semi_supervised.py [steps]

One seed says little of the gain; ten are in benchmarks/results/few_labels.md.
"""

import sys

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from codistill import DML, Alone, Batch, Cohort, Method


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def train(method: Method, x: torch.Tensor, y: torch.Tensor, pool: torch.Tensor, steps: int) -> Cohort:
    """Peers that learn from 25 labelled samples in a step, and from 60 of the pool."""
    torch.manual_seed(0)  # both methods start from the same weights
    cohort = Cohort([network() for _ in range(4)], execute="stack")
    optimizer = torch.optim.AdamW(cohort.parameters(), lr=3e-3, weight_decay=1.0)
    draw = torch.Generator().manual_seed(0)
    for step in range(steps):
        some, others = torch.randperm(len(x), generator=draw)[:25], torch.randint(len(pool), (60,), generator=draw)
        # The line that makes the difference: unlabelled samples go into the same batch, with the label -1.
        batch = Batch(torch.cat([x[some], pool[others]]), torch.cat([y[some], torch.full((60,), -1)]))
        terms = method(cohort, batch, progress=step / steps)
        optimizer.zero_grad()
        torch.stack([term.sum() for term in terms.values()]).sum().backward()
        optimizer.step()
    return cohort.eval()


def main(steps: int) -> None:
    digits = load_digits()
    x, y = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16, torch.tensor(digits.target)
    rest, test = train_test_split(range(len(y)), test_size=797, stratify=y, random_state=0)
    labelled, pool = train_test_split(rest, train_size=50, stratify=y[rest], random_state=0)
    for name, method in (("alone", Alone()), ("with peers", DML(target="hard", ramp=0.3))):
        cohort = train(method, x[labelled], y[labelled], x[pool], steps)
        with torch.no_grad():
            accuracies = (cohort(x[test]).logits.argmax(-1) == y[test]).float().mean(1)  # [4]
        print(f"{name}: {accuracies.mean():.1%} of {len(test)} test digits, the mean of four networks")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
