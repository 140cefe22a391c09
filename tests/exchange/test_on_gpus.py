"""Meshes of GPUs, over NCCL where each process has one of its own; skipped where there is none."""

import pytest
import torch

from codistill.run import Run
from codistill.training.build import build_fleet
from codistill.training.state import Training
from jobs import job_of, noisy_squares

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")

RUN = Run(models=("cnn:width=2",), peers=4, labels=30, batch=7, epochs=2, precision="float64", execute="loop", clip=1.0)


def trained(mesh, device):
    training = Training(build_fleet([RUN.replace(device=device)], dataset=noisy_squares(), mesh=mesh), None)
    for _ in range(training.fleet.total):
        training.advance()
    cohort = training.fleet.cohort
    return {peer: {name: t.cpu() for name, t in cohort.peer_state(peer).items()} for peer in cohort.held}


@pytest.mark.parametrize("mesh", ["peer=2", "data=2"])
def test_gpus_end_where_one_cpu_does(mesh):
    """With one GPU, both processes share it, and what crosses goes through the CPU."""
    expected = job_of(trained, None, 1, "cpu")[0]
    for found in job_of(trained, mesh, 2, "cuda"):
        for peer, state in found.items():
            for name, tensor in state.items():
                torch.testing.assert_close(tensor, expected[peer][name], rtol=1e-6, atol=1e-8)
