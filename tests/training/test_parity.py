"""Twenty steps of `train` end where plain modules and loops end, in every update mode and executor."""

import copy

import pytest
import torch
from torch import nn

import naive
from codistill.run import Run
from codistill.training.build import build_fleet
from codistill.training.loop import train

STEPS_PER_EPOCH = 5


def run_of(update, execute):
    return Run(
        method="dml",
        peers=3,
        update=update,
        execute=execute,
        precision="float64",
        labels=100,
        batch=20,
        epochs=4,
        learning_rate=0.1,
        schedule="step:at=0.5,by=0.1",
        seed=3,
    )


def networks(unlike=False):
    torch.manual_seed(0)
    nets = [naive.small_net() for _ in range(3)]
    if unlike:
        nets[1] = nn.Sequential(nn.Flatten(), nn.Linear(64, 7), nn.BatchNorm1d(7), nn.Linear(7, 10))
    return nets


def reference(update, nets):
    """The same twenty steps, on batches drawn one by one from the streams that `train` draws from."""
    nets = [copy.deepcopy(net).double() for net in nets]
    streams = build_fleet([run_of(update, "loop")], networks=[copy.deepcopy(n) for n in nets]).streams
    optimizers = naive.sgd(nets, 0.1)
    for step in range(20):
        for optimizer in optimizers:
            naive.set_rate(optimizer, 0.1 if step < 10 else 0.01)
        where = divmod(step, STEPS_PER_EPOCH)
        batches = []
        for stream in range(3 if update == "fresh_batch" else 1):
            x, y, _ = streams.draw((*where, stream))
            batches.append((x[0], y[0]))
        if update == "fresh_batch":
            naive.fresh_batch(nets, optimizers, batches)
        else:
            getattr(naive, update)(nets, optimizers, *batches[0])
    return nets


@pytest.mark.parametrize("execute", ["loop", "stack"])
@pytest.mark.parametrize("update", ["together", "in_turn", "fresh_batch"])
@pytest.mark.parametrize("unlike", [False, True])
def test_twenty_steps_end_in_the_parameters_and_buffers_of_the_reference(update, execute, unlike, monkeypatch):
    kept = {}
    from codistill.training import loop as module

    def kept_fleet(*args, **settings):
        kept["fleet"] = build_fleet(*args, **settings)
        return kept["fleet"]

    monkeypatch.setattr(module, "build_fleet", kept_fleet)
    nets = networks(unlike)
    expected = reference(update, nets)
    records = list(train(run_of(update, execute), networks=copy.deepcopy(nets), part=None))
    assert records[-1].step == 20
    cohort = kept["fleet"].cohort
    for i, net in enumerate(expected):
        state = cohort.peer_state(i)
        for name, tensor in (*net.named_parameters(), *net.named_buffers()):
            torch.testing.assert_close(state[name], tensor.detach(), rtol=1e-9, atol=1e-11)
    forwards = {"together": 3, "in_turn": 5, "fresh_batch": 9}[update] * 20
    assert (cohort.passes.forward, cohort.passes.backward) == (forwards, 60)
