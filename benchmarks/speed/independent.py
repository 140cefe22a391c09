"""Networks trained alone, as one fleet, against one training after the other, each with its own optimizer."""

from collections.abc import Iterator

from measure import Row, interleaved, row
from textbook import Textbook, dataset, networks

from codistill.run import Run
from codistill.training.build import build_fleet
from codistill.training.state import Training

CASES = {"8 MLP": ("mlp", 8, 64), "8 small CNN": ("cnn", 8, 60), "40 small CNN": ("cnn", 40, 60)}
QUICK = {"3 MLP": ("mlp:hidden=4", 3, 8)}


def rows(quick: bool, rounds: int) -> Iterator[Row]:
    """A step of all networks, each with a seed, and so with batches, of its own."""
    for name, (spec, count, batch) in (QUICK if quick else CASES).items():
        data = dataset((1, 8, 8))
        run = Run(method="alone", models=(spec,), peers=1, batch=batch, epochs=10**6, threads=1, device="cpu")
        fleet = build_fleet([run.replace(seed=seed) for seed in range(count)], dataset=data)
        x, y, _ = fleet.streams.draw((0, 0, 0))
        nets = networks([spec] * count, (1, 8, 8))
        single = [Textbook([net], x[i], y[i], mutual=False) for i, net in enumerate(nets)]
        sides = {"ours": Training(fleet, None).advance, "theirs": lambda each=single: [one.step() for one in each]}
        seconds = interleaved(sides, rounds)
        case = f"{name}, 8x8, batch {batch}: a fleet, {fleet.execution.execute}"
        yield row("independent", case, seconds["ours"], seconds["theirs"], other="one after the other")
