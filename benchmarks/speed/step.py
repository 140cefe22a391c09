"""A step of mutual learning against the textbook's, of your own loop over a `Cohort` and of `train`.

Both compute the same gradients, which is checked before anything is timed. ``networks alone`` is the floor of a loop:
forward and backward of the networks, one after the other, without a loss, an optimizer or anything of ours.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from measure import Row, interleaved, row
from textbook import Textbook, dataset, networks, same_gradients
from torch import Tensor, nn

from codistill import DML, Batch, Cohort
from codistill.run import Run
from codistill.training.build import build_fleet
from codistill.training.state import Training

METHOD = DML()
Case = tuple[Sequence[str], tuple[int, ...], int]
CASES: dict[str, Case] = {
    "8 MLP, 8x8, batch 64": (["mlp"] * 8, (1, 8, 8), 64),
    "8 small CNN, 8x8, batch 60": (["cnn"] * 8, (1, 8, 8), 60),
    "3 MNIST CNN, batch 64": (["mnist_cnn"] * 3, (1, 28, 28), 64),
    "2 ResNet-8, 32x32, batch 64": (["resnet8"] * 2, (3, 32, 32), 64),
    "ResNet-8 and small CNN, 32x32, batch 64": (["resnet8", "cnn"], (3, 32, 32), 64),
    "2 ResNet-32, 32x32, batch 64": (["resnet32"] * 2, (3, 32, 32), 64),
}
QUICK: dict[str, Case] = {"2 MLP, 8x8, batch 8": (["mlp:hidden=4"] * 2, (1, 8, 8), 8)}


def rows(quick: bool, rounds: int) -> Iterator[Row]:
    """Every case: your own loop with each executor, `train`, the floor; and mutual learning against learning alone."""
    for name, case in (QUICK if quick else CASES).items():
        sides, executors = sides_of(*case)
        seconds = interleaved(sides, rounds if case[1][1] < 32 else max(3, rounds // 5))
        for execute in executors:
            yield row("step", f"{name}: Cohort, {execute}", seconds[execute], seconds["textbook"], other="textbook")
        yield row("step", f"{name}: train, {executors[-1]}", seconds["train"], seconds["textbook"], other="textbook")
        yield row("step", f"{name}: train", seconds["train"], seconds[executors[-1]], other="Cohort, the same executor")
        yield row("step", f"{name}: train, DML", seconds["train"], seconds["alone"], other="train, alone")
        yield row("step", f"{name}: train", seconds["train"], seconds["networks"], other="networks alone")


def sides_of(
    specs: Sequence[str], shape: tuple[int, ...], size: int
) -> tuple[dict[str, Callable[[], object]], list[str]]:
    """One step each, and the executors among them, that of `train` last."""
    data = dataset(shape)
    run = Run(method="dml", models=tuple(specs), peers=len(specs), batch=size, epochs=10**6, learning_rate=0.01)
    run = run.replace(device="cpu", threads=torch.get_num_threads())
    nets = networks(specs, shape)

    def trained(**changes: str) -> Training:
        return Training(build_fleet([run.replace(**changes)], dataset=data, networks=copy.deepcopy(nets)), None)

    training = trained()
    fleet = training.fleet
    executors = [name for name in (fleet.execution.timing or ["loop"]) if name != fleet.execution.execute]
    executors.append(fleet.execution.execute)
    x, y, _ = fleet.streams.draw((0, 0, 0))
    theirs = Textbook(nets, x[0], y[0])
    own = {execute: Cohort(copy.deepcopy(nets), execute=execute) for execute in executors}
    for execute in executors:
        check(nets, execute, x[0], y[0])
    optimizers = {e: torch.optim.SGD(c.parameters(), lr=0.01, momentum=0.9, nesterov=True) for e, c in own.items()}
    return {
        "textbook": theirs.step,
        **{e: partial(own_step, own[e], optimizers[e], x[0], y[0]) for e in executors},
        "train": training.advance,
        "alone": trained(method="alone", execute=executors[-1]).advance,
        "networks": partial(floor, copy.deepcopy(nets), x[0]),
    }, executors


def check(nets: Sequence[nn.Module], execute: str, x: Tensor, y: Tensor) -> None:
    """Both compute the same gradients; in double precision, where rounding cannot hide what differs."""
    nets = [copy.deepcopy(net).double() for net in nets]
    cohort = Cohort(copy.deepcopy(nets), execute=execute)
    same_gradients(Textbook(nets, x.double(), y), cohort, loss_of(cohort, x.double(), y))


def loss_of(cohort: Cohort, x: Tensor, y: Tensor) -> Tensor:
    """What all peers minimise together."""
    return torch.stack([term.sum() for term in METHOD(cohort, Batch(x, y)).values()]).sum()


def own_step(cohort: Cohort, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    """A step of your own loop."""
    loss = loss_of(cohort, x, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def floor(nets: Sequence[nn.Module], x: Tensor) -> None:
    """Forward and backward of networks, one after the other, and nothing else."""
    for net in nets:
        net.zero_grad()
        net(x).sum().backward()
