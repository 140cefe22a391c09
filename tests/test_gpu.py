"""What needs a GPU; skipped where there is none."""

import pytest
import torch

from codistill.run import Run
from codistill.training.build import build_fleet
from codistill.training.loop import train
from codistill.training.state import Training

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")

RUN = Run(peers=3, labels=60, batch=20, epochs=2, schedule="constant", precision="float64", augment=("crop:pad=1",))


@pytest.mark.parametrize("execute", ["loop", "stack"])
@pytest.mark.parametrize("update", ["together", "in_turn", "fresh_batch"])
def test_a_gpu_ends_where_the_cpu_does(execute, update):
    ends = []
    for device in ("cpu", "cuda"):
        training = Training(build_fleet([RUN.replace(device=device, execute=execute, update=update)]), None)
        for _ in range(training.fleet.total):
            training.advance()
        ends.append([training.fleet.cohort.peer_state(i) for i in range(3)])
    for one, two in zip(*ends, strict=True):
        for name, tensor in one.items():
            torch.testing.assert_close(two[name].cpu(), tensor, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_a_step_never_waits_for_the_device(execute):
    run = RUN.replace(device="cuda", execute=execute, precision="float32", clip=1.0)
    training = Training(build_fleet([run, run.replace(method="alone")]), None)
    training.advance()
    torch.cuda.set_sync_debug_mode("error")
    try:
        training.advance()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_bfloat16_trains_and_ends_with_results():
    *_, end = train(RUN.replace(device="cuda", precision="bfloat16"))
    assert all(0.0 <= row["accuracy"] <= 1.0 for row in end.lines if row["networks"])
