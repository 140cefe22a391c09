"""What a step spends on its batch: drawing, augmenting and normalising it, against the whole step of `train`."""

import itertools
from collections.abc import Iterator
from functools import partial

from measure import Row, interleaved, row
from textbook import dataset

from codistill.run import Run
from codistill.training.batches import draw
from codistill.training.build import build_fleet
from codistill.training.fleet import Fleet
from codistill.training.state import Training


def rows(quick: bool, rounds: int) -> Iterator[Row]:
    """The ratio is that of a whole step to its batch: 1 / 0.03 or more is what the input pipeline may cost."""
    cases = {"2 MLP, 8x8": ("mlp:hidden=4", 8)} if quick else {"2 ResNet-8, 8x8": ("resnet8", 64), "2 MLP": ("mlp", 64)}
    for name, (spec, batch) in cases.items():
        run = Run(method="dml", models=(spec,), batch=batch, augment=("crop:pad=1", "flip"), epochs=10**6, threads=1)
        fleet = build_fleet([run], dataset=dataset((1, 8, 8)))
        drawn = partial(_drawn, fleet, itertools.count(1))
        seconds = interleaved({"ours": drawn, "theirs": Training(fleet, None).advance}, rounds)
        case = f"{name}, batch {batch}, crop and flip: its batch"
        yield row("inputs", case, seconds["ours"], seconds["theirs"], other="the whole step")


def _drawn(fleet: Fleet, numbers: Iterator[int]) -> None:
    """The batch of the next step; asked for twice it would be there already."""
    draw(fleet.streams, fleet.members, (0, next(numbers) % fleet.steps, 0))
