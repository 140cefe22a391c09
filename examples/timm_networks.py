"""Two networks of timm, of different architectures, learn from each other.

python examples/timm_networks.py [epochs] [network network]

With pre-trained weights: pretrained=True, which downloads them.
"""

import sys
from collections.abc import Sequence

import timm
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, random_split

from codistill import DML, Batch, Cohort


def main(epochs: int, names: Sequence[str]) -> None:
    torch.manual_seed(0)
    digits = load_digits()
    x = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    data = TensorDataset(F.interpolate(x, size=32).expand(-1, 3, -1, -1), torch.tensor(digits.target))
    train, test, _ = random_split(data, (300, 300, len(data) - 600))

    # timm's networks are peers as they are; num_classes is that of the data.
    cohort = Cohort([timm.create_model(name, pretrained=False, num_classes=10, in_chans=3) for name in names])
    method = DML()
    optimizer = torch.optim.AdamW(cohort.parameters(), lr=2e-3, weight_decay=0.01)
    for _ in range(epochs):
        for images, labels in DataLoader(train, batch_size=30, shuffle=True):
            # The line that makes the difference: with one network, this was cross_entropy(net(images), labels).
            terms = method(cohort, Batch(images, labels))  # {"task": [2], "mimic": [2]}
            optimizer.zero_grad()
            torch.stack([term.sum() for term in terms.values()]).sum().backward()
            optimizer.step()

    cohort.eval()
    images, labels = (torch.stack(column) for column in zip(*test, strict=True))
    with torch.no_grad():
        accuracies = (cohort(images).logits.argmax(-1) == labels).float().mean(1)
    for name, accuracy in zip(names, accuracies.tolist(), strict=True):
        print(f"{name}: {accuracy:.1%} of {len(test)} digits")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10, sys.argv[2:] or ("resnet18", "mobilenetv3_small_100"))
