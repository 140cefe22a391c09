"""Whether exchanging each peer's outputs while the next peers' passes run is faster than one exchange after all.

torchrun --nproc-per-node 2 benchmarks/overlap.py [STEPS]

Both ways in turns, of forward passes, exchange and backward passes of two processes; of each size the quartiles of the
ratio within a pair, and the milliseconds of the exchange alone.
"""

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, distributed as dist, nn

from codistill.exchange import Mesh, joined

SIZES = ((2, 10, 64, 64), (2, 1000, 64, 64), (2, 20_000, 64, 256), (4, 20_000, 64, 256))  # peers each, C, B, hidden
Exchanged = tuple[list[Tensor], Tensor]
Way = Callable[[list[nn.Module], Tensor, Mesh], Exchanged]


def after_all(nets: list[nn.Module], x: Tensor, mesh: Mesh) -> Exchanged:
    """Each net's outputs, and those of all processes ``[processes, nets, B * C]``, in one collective."""
    outputs = [net(x) for net in nets]
    sent = torch.stack([z.detach().flatten() for z in outputs])
    rows = sent.new_empty(mesh.size, *sent.shape)
    dist.all_gather(list(rows), sent)
    return outputs, rows


def overlapped(nets: list[nn.Module], x: Tensor, mesh: Mesh) -> Exchanged:
    """The same, each net's outputs sent as soon as they are there."""
    outputs, rows, waiting = [], [], []
    for net in nets:
        outputs.append(net(x))
        sent = outputs[-1].detach().flatten()
        rows.append(sent.new_empty(mesh.size, len(sent)))
        waiting.append(dist.all_gather(list(rows[-1]), sent, async_op=True))
    for work in waiting:
        work.wait()
    return outputs, torch.stack(rows, 1)


def seconds(way: Way, nets: list[nn.Module], x: Tensor, mesh: Mesh) -> float:
    """Of a step in one of the two ways, but for the optimizer's."""
    dist.barrier()
    started = time.perf_counter()
    outputs, rows = way(nets, x, mesh)
    sum((z - rows.mean((0, 1)).view_as(z)).square().mean() for z in outputs).backward()
    return time.perf_counter() - started


def alone(sent: Tensor, mesh: Mesh) -> float:
    """Of the exchange alone."""
    rows = sent.new_empty(mesh.size, len(sent))
    dist.barrier()
    started = time.perf_counter()
    dist.all_gather(list(rows), sent)
    return time.perf_counter() - started


def main() -> None:
    """A line for each size."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    torch.set_num_threads(1)
    with joined() as mesh:
        for peers, classes, batch, hidden in SIZES:
            torch.manual_seed(0)
            nets = [nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, classes)) for _ in range(peers)]
            x, ratios, firsts = torch.randn(batch, 64), [], []
            assert torch.equal(after_all(nets, x, mesh)[1], overlapped(nets, x, mesh)[1])
            for step in range(steps):
                ways = (after_all, overlapped) if step % 2 else (overlapped, after_all)
                taken = {way: seconds(way, nets, x, mesh) for way in ways}
                firsts.append(taken[after_all])
                ratios.append(taken[overlapped] / taken[after_all])
            exchange = statistics.median(alone(torch.randn(peers * batch * classes), mesh) for _ in range(20))
            if mesh.is_first:
                low, middle, high = statistics.quantiles(ratios, n=4)
                print(
                    f"{peers} peers each, {classes} classes, batch {batch}: {peers * classes * batch * 4:,} bytes, "
                    f"{1000 * statistics.median(firsts):.1f} ms a step, {1000 * exchange:.2f} the exchange alone; "
                    f"overlapped / after all {middle:.2f} ({low:.2f} to {high:.2f})",
                    flush=True,
                )


if __name__ == "__main__":
    main()
