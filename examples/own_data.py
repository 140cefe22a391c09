"""Your own networks and data through `train`: a log, checkpoints, resuming and evaluation come with it.

python examples/own_data.py FOLDER [epochs]

Started again with the same folder, it resumes where it was.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from codistill import DataSet, Examples, Run
from codistill.training.loop import restored, resume, train
from codistill.training.records import logged


def images(count: int, seed: int) -> Examples:
    """Noisy 12 x 12 images of a bar: horizontal (0), vertical (1), or both, a cross (2)."""
    draw = torch.Generator().manual_seed(seed)
    x = 0.5 * torch.rand(count, 1, 12, 12, generator=draw)
    y = torch.randint(3, (count,), generator=draw)
    row, column = torch.randint(2, 10, (2, count), generator=draw)
    x[y != 1, 0, row[y != 1]] += 0.3
    x[y != 0, 0, :, column[y != 0]] += 0.3
    return Examples(x, y)


class Net(nn.Module):
    """Whatever returns logits will do."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rows, self.columns = nn.Linear(12, width), nn.Linear(12, width)
        self.head = nn.Linear(2 * width, 3)

    def forward(self, x: Tensor) -> Tensor:
        both = [self.rows(x).relu().mean((1, 2)), self.columns(x.mT).relu().mean((1, 2))]
        return self.head(torch.cat(both, dim=1))


def main(folder: Path, epochs: int) -> None:
    torch.manual_seed(0)
    data = DataSet(images(400, seed=1), images(400, seed=2), 3, "classes", (0.3,), (0.2,), ())
    own = {"dataset": data, "networks": [Net(width) for width in (8, 16, 16)]}
    run = Run(data="bars", models=("Net",), method="dml", peers=3, optimizer="adam", learning_rate=0.02, epochs=epochs)
    records = resume(folder, **own) if (folder / "runs.json").exists() else train(run, folder, **own)
    for record in logged(records, folder):
        for line in record.lines if record.kind == "epoch" else ():
            print(f"epoch {line['epoch']}: task {sum(line['terms']['task']) / 3:.3f}")
    for row in (line for line in record.lines if "accuracy" in line):  # the last line is what the peers have in common
        print(f"{row['networks']} network(s): {row['accuracy']:.1%} of {row['n']} test images")
    net = restored(folder, **own).cohort.network(0)  # an ordinary module again
    print(f"network 0 has {sum(p.numel() for p in net.parameters())} parameters")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20)
