"""One process of two: a step of a method on a cohort that DistributedDataParallel wraps, on half of the batch.

python ddp_step.py RANK FOLDER METHOD
"""

import sys
from pathlib import Path

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from codistill import Batch, Cohort, methods


def cohort_and_batch():
    """Three small networks in double precision, and eight labelled examples."""
    torch.manual_seed(0)
    nets = [nn.Sequential(nn.Linear(6, width), nn.Tanh(), nn.Linear(width, 4)) for width in (3, 5, 5)]
    return Cohort(nets, execute="stack").double(), torch.randn(8, 6).double(), torch.arange(8) % 4


def gradients(cohort, wrapped, method, x, y):
    """Of every parameter of the cohort, after one backward pass of all terms."""
    terms = method(wrapped, Batch(x, y))
    sum(term.sum() for term in terms.values()).backward()
    return [parameter.grad for parameter in cohort.parameters()]


def main(rank, folder, spec):
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    cohort, x, y = cohort_and_batch()
    half = slice(4 * rank, 4 * rank + 4)
    grads = gradients(cohort, DistributedDataParallel(cohort), methods.get(spec), x[half], y[half])
    torch.save(grads, Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
