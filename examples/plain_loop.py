"""Two heterogeneous networks learn from each other in your own loop; nothing of codistill is around it.

python examples/plain_loop.py [epochs]
"""

import sys

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from codistill import DML, Batch, Cohort


def networks() -> list[nn.Module]:
    """A small convolutional network, and one that is fully connected."""
    conv = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(256, 10),
    )
    return [conv, nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))]


def main(epochs: int) -> None:
    torch.manual_seed(0)
    digits = load_digits()
    x, y = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16, torch.tensor(digits.target)
    train, test = train_test_split(range(len(y)), train_size=300, stratify=y, random_state=0)
    loader = DataLoader(TensorDataset(x[train], y[train]), batch_size=30, shuffle=True)

    cohort = Cohort(networks())
    method = DML(weight=1.0, temperature=2.0)
    optimizer = torch.optim.SGD(cohort.parameters(), lr=0.05, momentum=0.9, nesterov=True)

    for _ in range(epochs):
        for inputs, labels in loader:
            # The line that makes the difference: with one network, this was cross_entropy(net(inputs), labels).
            terms = method(cohort, Batch(inputs, labels))  # {"task": [2], "mimic": [2]}
            loss = torch.stack([term.sum() for term in terms.values()]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    cohort.eval()
    with torch.no_grad():
        logits = cohort(x[test]).logits  # [2, N, 10]
    accuracies = [*(logits.argmax(-1) == y[test]).float().mean(1).tolist()]
    ensemble = (logits.softmax(-1).mean(0).argmax(-1) == y[test]).float().mean().item()
    for name, accuracy in zip(("convolutional", "fully connected", "ensemble"), (*accuracies, ensemble), strict=True):
        print(f"{name}: {accuracy:.1%} of {len(test)} test digits")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
