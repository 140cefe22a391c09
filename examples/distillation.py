"""A small network is distilled from a finished cohort.

python examples/distillation.py FOLDER [steps]
"""

import sys
from pathlib import Path

import torch
from torch import nn

from codistill import KD, Alone, Batch, Cohort, Method, Run, restored, train
from codistill.data import load


def distilled(method: Method, x: torch.Tensor, y: torch.Tensor, steps: int) -> Cohort:
    torch.manual_seed(0)  # both methods start from the same weights
    student = Cohort([nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))])
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    draw = torch.Generator().manual_seed(0)
    for step in range(steps):
        some = torch.randint(len(x), (60,), generator=draw)
        terms = method(student, Batch(x[some], y[some]), progress=step / steps)
        optimizer.zero_grad()
        torch.stack([term.sum() for term in terms.values()]).sum().backward()
        optimizer.step()
    return student.eval()


def main(folder: Path, steps: int) -> None:
    run = Run(data="digits", models=("cnn",), method="dml", peers=4, labels=300, batch=30, epochs=10, learning_rate=0.4)
    if not (folder / "runs.json").exists():
        for _ in train(run, folder):
            pass
    data = load("digits")
    mean, std = torch.tensor(data.mean).view(-1, 1, 1), torch.tensor(data.std).view(-1, 1, 1)
    x, x_test = ((part.x / 255 - mean) / std for part in (data.train, data.test))  # as the cohort saw them

    # The line that makes the difference: the finished cohort, frozen, is the teacher. Its labels are needed no more,
    # so that the student imitates it on samples whose labels nobody knows (-1).
    method = KD(teacher=restored(folder).delivered.frozen())
    few = torch.full_like(data.train.y, -1)
    few[:100] = data.train.y[:100]
    for name, chosen, samples in (("100 labels alone", Alone(), 100), ("distilled", method, len(x))):
        student = distilled(chosen, x[:samples], few[:samples], steps)
        with torch.no_grad():
            accuracy = (student(x_test).logits[0].argmax(-1) == data.test.y).float().mean()
        print(f"{name}: {accuracy:.1%} of {len(x_test)} test digits")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 200)
