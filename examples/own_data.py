"""Your own networks and data with `fit`: progress, log, checkpoints, results and a report, as by the command line.

python examples/own_data.py FOLDER [epochs]

Started again with the same folder, it resumes where it was.
"""

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

import codistill
from codistill import DataSet, Examples, Run


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
    names = ("horizontal", "vertical", "cross")
    data = DataSet(images(400, seed=1), images(400, seed=2), 3, "classes", (0.3,), (0.2,), names)
    nets = [Net(width) for width in (8, 16, 16)]
    run = Run(data="bars", method="dml", peers=3, optimizer="adam", learning_rate=0.02, epochs=epochs)
    results = [row.to_json() for row in codistill.fit(run, folder, dataset=data, networks=nets)]
    for row in (row for row in results if "accuracy" in row):  # the last is what the peers have in common
        print(f"{row['networks']} network(s): {row['accuracy']:.1%} of {row['n']} test images")
    net = codistill.load(folder, "ensemble", networks=[Net(width) for width in (8, 16, 16)])  # an ordinary module
    probabilities = net.probabilities(net.preprocess(images(1, seed=3).x))
    print(f"a new image: {net.classes[probabilities.argmax()]} ({probabilities.max():.0%})")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20)
