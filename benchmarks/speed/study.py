"""The runs of a study as one fleet against the same runs one by one, both by this library, start and evaluation too."""

import time
from collections.abc import Iterator

from measure import Row, interleaved, row
from textbook import dataset

from codistill.run import Run
from codistill.training.loop import train


def rows(quick: bool, rounds: int) -> Iterator[Row]:
    """Seeds of alone and of DML, one epoch."""
    seeds = 1 if quick else 5
    data = dataset((1, 8, 8), count=128 if quick else 512)
    base = Run(models=("mlp:hidden=4" if quick else "cnn",), batch=32, epochs=1, execute="stack", threads=1)
    runs = [
        base.replace(method=method, peers=peers, seed=seed)
        for method, peers in (("alone", 1), ("dml", 2))
        for seed in range(seeds)
    ]

    def fleet() -> None:
        list(train(runs, dataset=data))

    def one_by_one() -> None:
        for run in runs:
            list(train(run, dataset=data))

    seconds = interleaved({"ours": fleet, "theirs": one_by_one}, max(2, rounds // 10), time.process_time)
    case = f"{len(runs)} runs of {16 if not quick else 4} steps"
    yield row("study", case, seconds["ours"], seconds["theirs"], other="one by one")
