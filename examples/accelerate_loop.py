"""Two networks learn from each other in a loop of Hugging Face's Accelerate, on one device or several.

python examples/accelerate_loop.py [epochs]
accelerate launch --num_processes 2 examples/accelerate_loop.py
"""

import sys

import torch
from accelerate import Accelerator
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

from codistill import DML, Batch, Cohort


def network(width: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


def main(epochs: int) -> None:
    torch.manual_seed(0)
    digits = load_digits()
    data = TensorDataset(torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16, torch.tensor(digits.target))
    train, test = random_split(data, (600, len(data) - 600))

    accelerator = Accelerator(cpu=True)
    cohort, method = Cohort([network(48), network(96)]), DML(temperature=2.0)
    optimizer = torch.optim.SGD(cohort.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    loader = DataLoader(train, batch_size=30, shuffle=True)
    cohort, optimizer, loader = accelerator.prepare(cohort, optimizer, loader)
    for _ in range(epochs):
        for x, y in loader:
            # The line that makes the difference. Of several processes, gradients are averaged: the cohort is then
            # inside DistributedDataParallel, which a method takes as it is.
            terms = method(cohort, Batch(x, y))  # {"task": [2], "mimic": [2]}
            optimizer.zero_grad()
            accelerator.backward(torch.stack([term.sum() for term in terms.values()]).sum())
            optimizer.step()

    cohort = accelerator.unwrap_model(cohort).eval()
    x, y = (torch.stack(column).to(accelerator.device) for column in zip(*test, strict=True))
    with torch.no_grad():
        accuracies = (cohort(x).logits.argmax(-1) == y).float().mean(1)
    for peer, accuracy in enumerate(accuracies.tolist()):
        accelerator.print(f"network {peer}: {accuracy:.1%} of {len(test)} digits")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
