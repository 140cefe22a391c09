"""Four parties with private labels: what crosses between them is predictions on common unlabelled samples.

python examples/silos.py [steps]
"""

import sys

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from codistill import DML, Alone, Batch, Cohort, Method, PerPeer


def network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def train(method: Method, x: torch.Tensor, y: torch.Tensor, pool: torch.Tensor, steps: int) -> Cohort:
    """Of silos with samples x ``[4, 20, ...]`` and labels y ``[4, 20]``: all learn from their own, and the pool."""
    torch.manual_seed(0)  # both methods start from the same weights
    cohort = Cohort([network() for _ in range(4)], execute="stack")
    optimizer = torch.optim.AdamW(cohort.parameters(), lr=3e-3, weight_decay=1.0)
    draw = torch.Generator().manual_seed(0)
    for step in range(steps):
        common = pool[torch.randint(len(pool), (60,), generator=draw)].expand(4, -1, -1, -1, -1)
        # The lines that make the difference: each silo has a batch of its own, and `private` says that only the
        # samples without label, which all have, are compared.
        inputs, labels = PerPeer(torch.cat([x, common], 1)), torch.cat([y, torch.full((4, 60), -1)], 1)
        terms = method(cohort, Batch(inputs, labels, private=True), progress=step / steps)
        optimizer.zero_grad()
        torch.stack([term.sum() for term in terms.values()]).sum().backward()
        optimizer.step()
    return cohort.eval()


def main(steps: int) -> None:
    digits = load_digits()
    x, y = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16, torch.tensor(digits.target)
    rest, test = train_test_split(range(len(y)), test_size=797, stratify=y, random_state=0)
    labelled, pool = train_test_split(rest, train_size=80, stratify=y[rest], random_state=0)
    own = torch.tensor(labelled).view(4, 20)  # one row to each silo
    for name, method in (("each for itself", Alone()), ("with the others' predictions", DML(ramp=0.3))):
        cohort = train(method, x[own], y[own], x[pool], steps)
        with torch.no_grad():
            accuracies = (cohort(x[test]).logits.argmax(-1) == y[test]).float().mean(1)  # [4]
        print(f"{name}: {accuracies.mean():.1%} of {len(test)} test digits, the mean of four silos")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
