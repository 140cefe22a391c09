"""With target=top:k processes tell each other the k largest and the others' sum, and end where one process does."""

from dataclasses import replace

import pytest
import torch

from codistill.data.examples import DataSet, Examples
from codistill.exchange import Largest
from codistill.exchange.cost import Cost
from codistill.losses.divergences.kl import KL
from codistill.losses.grouped import Grouped
from codistill.run import Run
from codistill.training.build import build_fleet
from codistill.training.edges import is_measured
from codistill.training.loop import train
from codistill.training.state import Training
from jobs import job_of

CLASSES = 12
BASE = Run(
    models=("mlp:hidden=6,layers=1",), peers=3, labels=60, valid=0, batch=3, epochs=1, precision="float64",
    execute="loop", method="dml:target=top:3",
)  # fmt: skip
RUNS = {
    "together": BASE,
    "in turn": BASE.replace(update="in_turn"),
    "fresh batches": BASE.replace(update="fresh_batch"),
    "stacks": BASE.replace(peers=4, execute="stack"),
    "at a temperature, in a ring": BASE.replace(method="dml:target=top:3,temperature=2.5,graph=ring"),
    "js": BASE.replace(method="dml:target=top:2,divergence=js"),
    "batch norm, clipped, averaged": BASE.replace(models=("cnn:width=2",), clip=0.5, average=0.9),
    "two seeds": [BASE, BASE.replace(seed=1)],
}
WHOLE_TARGET = BASE.replace(method="dml")
WHOLE = {  # what needs more of the others than that
    "a selection": BASE.replace(method="dml:target=top:3,select=confident:0.1", steps=4),
    "another method beside": [BASE.replace(steps=4), BASE.replace(method="alone", steps=4)],
    "nothing saved": BASE.replace(method="dml:target=top:6", steps=4),
}


def noise(classes=CLASSES):
    """Images of noise, with classes that they tell a little of."""
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(72, 1, 4, 4, generator=draw), torch.arange(72) % classes
    x[:, 0, 0] += y[:, None] / 4
    names = tuple("abcdefghijklmnop"[:classes])
    parts = Examples(x, y), Examples(x[:12], y[:12])
    return DataSet(*parts, classes=classes, task="classes", mean=(0.0,), std=(1.0,), names=names)


def trained(mesh, names):
    """Of some runs: the terms of all steps, the peers that are here, and the bytes of each step."""
    found = {}
    for name in names:
        runs = (RUNS | WHOLE)[name]
        training = Training(build_fleet(runs if isinstance(runs, list) else [runs], dataset=noise(), mesh=mesh), None)
        terms, received = [], []
        for _ in range(training.fleet.total):
            before = mesh.gathered
            terms.append(training.advance())
            received.append(mesh.gathered - before)
        cohort = training.fleet.cohort
        states = {(i, key): t.clone() for i in cohort.held for key, t in cohort.peer_state(i).items()}
        found[name] = terms, states, received, training.fleet.told
    return found


@pytest.fixture(scope="module")
def alone():
    return job_of(trained, None, 1, [*RUNS, *WHOLE])[0]


@pytest.mark.parametrize(("mesh", "processes"), [("peer=2", 2), ("peer=3", 3)])
def test_it_ends_where_one_process_does(mesh, processes, alone):
    for found in job_of(trained, mesh, processes, [*RUNS, *WHOLE]):
        for name, (terms, states, received, told) in found.items():
            assert (told is None) == (name in WHOLE), name
            least = min(received)
            assert (least < max(received)) == (name in RUNS), name  # in steps on which nothing is measured
            for step, (one, other) in enumerate(zip(terms, alone[name][0], strict=True)):
                for own, expected in zip(one, other, strict=True):
                    for term, value in own.items():
                        where = f"{name}: {term} of step {step}"
                        torch.testing.assert_close(value, expected[term], rtol=1e-9, atol=1e-12, msg=where)
            for key, tensor in states.items():
                torch.testing.assert_close(tensor, alone[name][1][key], rtol=1e-9, atol=1e-12, msg=f"{name}: {key}")


def received(mesh):
    run = BASE.replace(precision="float32")
    training = Training(build_fleet([run], dataset=noise(), mesh=mesh), None)
    steps = {}
    for step in range(training.fleet.total):
        before = mesh.gathered
        training.advance()
        steps[step] = mesh.gathered - before
    return {measured: [b for s, b in steps.items() if is_measured(s, len(steps)) == measured] for measured in (0, 1)}


def test_the_bytes_are_those_of_the_formula():
    whole = Cost(peer=2, data=1, peers=3, batch=3, classes=CLASSES, parameters=0)
    told = replace(whole, largest=3)
    sample = 3 * 4 + 3 * 4 + 4  # three values, where they are, and the others' sum
    padded = 2 * 40 + 16  # in tensors of multiples of 8 bytes: 36, 36 and 12
    assert 3 * sample == 36 + 36 + 12
    assert told.gathered == 8 + 2 * padded + 8 + 2 * 3 * 4  # two peers; then two terms of three peers
    for found in job_of(received, "peer=2", 2):
        assert set(found[False][1:]) == {told.gathered}  # the first step also checks shapes
        assert set(found[True][1:]) == {whole.gathered}
    assert replace(told, data=2).gathered == replace(whole, data=2).gathered  # where shards are apart it is all


def ended(mesh, run):
    *_, last = train(run, dataset=noise(), mesh=mesh)
    return last.facts["exchanged"]


def test_the_last_record_says_what_was_received():
    few, every = (job_of(ended, "peer=2", 2, run) for run in (BASE, WHOLE_TARGET))
    assert max(found["received"] for found in few) < min(found["received"] for found in every)
    assert [found["largest"] for found in few + every] == [3, 3, None, None]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_what_is_filled_in_is_the_same_target(temperature):
    z, students = torch.randn(2, 4, 7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 3
    told = Largest(3, 9, temperature)
    filled = told.filled(told.told(z))
    order = z.argsort(-1, descending=True)
    p, q = ((logits / temperature).softmax(-1).gather(-1, order) for logits in (z, filled))
    torch.testing.assert_close(q[..., :3], p[..., :3])
    torch.testing.assert_close(q[..., 3:], p[..., 3:].mean(-1, keepdim=True).expand(4, 7, 6))
    compare, student = Grouped(KL(), 3), (students / temperature).log_softmax(-1)
    values = [compare.between((logits / temperature).log_softmax(-1), student) for logits in (z, filled)]
    torch.testing.assert_close(*values)
