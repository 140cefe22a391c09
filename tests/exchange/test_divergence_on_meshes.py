"""What is no number in one process is stopped at, skipped or gone back from in all of them alike."""

import itertools
import math

import pytest
import torch
from torch import nn

from codistill.run import Run
from codistill.training.loop import train
from codistill.training.records import Diverged, logged, read_log
from jobs import job_of, noisy_squares

RUN = Run(
    labels=30, batch=10, epochs=4, execute="loop", checkpoint_steps=2, precision="float64", method="dml",
    optimizer="adam", learning_rate=0.01,
)  # fmt: skip
CASES = list(itertools.product(("stop", "skip", "rewind"), ("the loss", "the gradient")))
BAD = 5  # the step, counted from 1, in which peer 1 gives no numbers


class Breaking(nn.Module):
    """A network whose loss, or only whose gradient, is no number in one of its training passes."""

    def __init__(self, what):
        super().__init__()
        self.fc, self.what, self.passes = nn.Linear(16, 5), what, 0

    def forward(self, x):
        self.passes += self.training
        z = self.fc(x.flatten(1))
        if not self.training or self.passes != BAD:
            return z
        return z * math.nan if self.what == "the loss" else _zero_with_a_bad_gradient(z) + z


def _zero_with_a_bad_gradient(z):
    return 0 * (z.detach() - z).sqrt()  # whose derivative at 0 is infinite, and times 0 no number


def trained(mesh, home):
    """Of every case: how it ended, its steps, the lines of its log, and the peers that are here."""
    return {(do, what): case(mesh, do, what, home / f"{do} {what}") for do, what in CASES}


def case(mesh, do, what, folder):
    torch.manual_seed(0)
    networks = [nn.Sequential(nn.Flatten(), nn.Linear(16, 5)), Breaking(what)]
    run = RUN.replace(on_divergence=do)
    records = train(run, folder, networks=networks, dataset=noisy_squares(), mesh=mesh, part=None)
    seen, error = [], ""
    try:
        for record in logged(records, folder) if mesh.is_first else records:
            seen += [(record.kind, record.step, bool(record.terms and record.terms[0]))]
    except Diverged as diverged:
        error = str(diverged)
    held = [0, 1] if mesh.peer == 1 else [mesh.place]
    states = {peer: networks[peer].state_dict() for peer in held}
    if mesh.sharded:
        states = {peer: {name: t.full_tensor() for name, t in state.items()} for peer, state in states.items()}
    return error, seen, states


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    home = tmp_path_factory.mktemp("alone")
    return home, job_of(trained, None, 1, home)[0]


def test_one_process_does_what_it_was_told(alone):
    _, found = alone
    for (do, what), (error, seen, states) in found.items():
        seen_in = BAD + (what == "the gradient")  # a weight is seen by what is computed with it
        assert (f"the task loss of peer 1 is nan in step {seen_in} " in error) == (do == "stop")
        assert any(kind == "rewind" for kind, _, _ in seen) == (do == "rewind")
        assert ("step", BAD, False) in seen or do == "stop"
        assert all(t.isfinite().all() for state in states.values() for t in state.values()) or do == "stop"


@pytest.mark.parametrize("mesh", ["peer=2,timeout=60", "data=2,timeout=60", "data=2,shard=true,timeout=60"])
def test_all_processes_do_what_one_does(mesh, alone, tmp_path):
    """And none waits for another in vain: that would be an error after the timeout."""
    home, expected = alone
    for found in job_of(trained, mesh, 2, tmp_path):
        for case, (error, seen, states) in found.items():
            assert (error, seen) == expected[case][:2]
            for peer, state in states.items():
                for name, tensor in state.items():
                    other = expected[case][2][peer][name]
                    torch.testing.assert_close(tensor, other, rtol=1e-9, atol=1e-12, equal_nan=True)
    for do, what in CASES:
        kinds = [[line["kind"] for line in read_log(at / f"{do} {what}")] for at in (tmp_path, home)]
        assert kinds[0] == kinds[1]
