"""A run ends alike on every mesh: 1x1, 2x1, 1x2 and 2x2 processes, to rounding."""

import pytest
import torch

from codistill.run import Run
from codistill.training.build import build_fleet
from codistill.training.loop import train
from codistill.training.state import Training
from jobs import job_of, noisy_squares

MESHES = {"2x1": ("peer=2", 2), "1x2": ("data=2", 2), "2x2": ("peer=2,data=2", 4)}
SHARDED = {"1x2, sharded": ("data=2,shard=true", 2), "2x2, sharded": ("peer=2,data=2,shard=true", 4)}
BASE = Run(
    models=("mlp:hidden=6,layers=1", "mlp:hidden=5"),  # heterogeneous: at peer=2 on different processes
    labels=30, valid=0, batch=7, epochs=1, steps=3, precision="float64", execute="loop", clip=1.0, average=0.9,
    augment=("crop:pad=1",),
)  # fmt: skip
STACKED = BASE.replace(models=("mlp:hidden=6,layers=1",), peers=4, execute="stack")
RUNS = {
    "alone": BASE.replace(method="alone"),
    "dml": BASE.replace(method="dml"),
    "dml, stacks": STACKED.replace(method="dml:graph=ring"),
    "dml, in turn": BASE.replace(method="dml", update="in_turn", optimizer="adam", learning_rate=0.01),
    "dml, in turn, stacks": STACKED.replace(update="in_turn"),
    "dml, fresh batches": BASE.replace(method="dml", update="fresh_batch"),
    "dml, unlabelled": BASE.replace(method="dml:on=unlabelled,select=confident:0.1", unlabelled=5),
    "dml, silos": BASE.replace(method="dml", unlabelled=5, shards="equal", batch=6),
    "dml_ensemble": BASE.replace(method="dml_ensemble"),
    "three runs": [STACKED, STACKED.replace(method="alone"), STACKED.replace(seed=5)],  # a run in two processes too
    "kd": BASE.replace(method="kd:teacher=big"),
    "cml": BASE.replace(method="cml:teacher=big"),
    "pskd": BASE.replace(method="pskd", epochs=3),
    "cskd": BASE.replace(method="cskd"),
    "ddgsd": BASE.replace(method="ddgsd:features=stage1"),
    "codistillation": BASE.replace(method="codistillation:burn_in=0,exchange_every=1", shards="equal", batch=6),
    "codistillation of posteriors": BASE.replace(
        method="codistillation:burn_in=0,exchange=posteriors,exchange_every=1", steps=9
    ),
    "dml, batch norm": BASE.replace(models=("cnn:width=2", "cnn:width=3"), optimizer="adamw", learning_rate=0.01),
    "dml, in turn, batch norm": BASE.replace(models=("cnn:width=2",), update="in_turn"),
    "mean_teacher, batch norm": BASE.replace(models=("cnn:width=2",), method="mean_teacher", unlabelled=5),
    "kdcl": BASE.replace(method="kdcl"),  # gradients through the ensemble: into both peers
    "rkd": BASE.replace(method="rkd:teacher=none,features=stage1"),  # pairs of samples, across shards
    "dist": BASE.replace(method="dist:teacher=none"),
    "fitnet": BASE.replace(method="fitnet:teacher=none,features=stage1"),  # parameters of its own
    "mean_teacher": BASE.replace(method="mean_teacher", unlabelled=5),
}
STACKS = ("dml, stacks", "dml, in turn, stacks", "three runs")
FEW = ("alone", "dml", "dml, in turn, stacks", "dml, in turn, batch norm", "dml, silos", "pskd", "rkd")  # on 2x2


def trained(mesh, names, teacher):
    """Of some runs: the terms of all steps, the peers that are here, their averages, and the methods' state."""
    found = {}
    for name in names:
        runs = RUNS[name] if isinstance(RUNS[name], list) else [RUNS[name]]
        training = Training(build_fleet(runs, dataset=noisy_squares(), teachers={"big": teacher}, mesh=mesh), None)
        terms = [training.advance() for _ in range(training.fleet.total)]
        fleet = training.fleet
        states = {
            (kind, peer, key): tensor.clone()
            for kind, cohort in (("peers", fleet.cohort), ("averages", fleet.current))
            for peer in cohort.held
            for key, tensor in cohort.peer_state(peer).items()
        }
        own = {("method", key): t.clone() for key, t in fleet.members[0].method.state_dict().items()}
        kept = {key: t for key, t in own.items() if "groups." not in key[1]}
        found[name] = terms, states, kept, vars(fleet.cohort.passes).copy()
    return found


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher") / "run"
    list(train(BASE.replace(models=("mlp:hidden=9",), peers=1, method="alone"), folder, dataset=noisy_squares()))
    return folder


@pytest.fixture(scope="module")
def alone(teacher):
    return job_of(trained, None, 1, list(RUNS), teacher)[0]


@pytest.mark.parametrize("mesh", MESHES | SHARDED)
def test_every_method_ends_alike_on_every_mesh(mesh, alone, teacher):
    """The terms of all peers in every process, and each peer in the processes that have it."""
    axes, processes = (MESHES | SHARDED)[mesh]
    names = [name for name in RUNS if processes == 2 or name in FEW]
    names = [name for name in names if mesh not in SHARDED or name not in STACKS]  # which cannot be sharded
    held = {name: set() for name in names}
    for rank, found in enumerate(job_of(trained, axes, processes, names, teacher)):
        for name, (terms, states, own, passes) in found.items():
            expected = alone[name]
            assert passes == expected[3]
            assert (len(states) < len(expected[1])) == ("peer" in axes), name
            held[name] |= states.keys()
            for step, (one, other) in enumerate(zip(terms, expected[0], strict=True)):
                for member, (own_terms, expected_terms) in enumerate(zip(one, other, strict=True)):
                    assert own_terms.keys() == expected_terms.keys()
                    for term, value in own_terms.items():
                        where = f"{name}: {term} of step {step} and member {member} in process {rank}"
                        torch.testing.assert_close(value, expected_terms[term], rtol=1e-9, atol=1e-12, msg=where)
            for key, tensor in (states | own).items():
                where = f"{name}: {key} in process {rank}"
                torch.testing.assert_close(tensor, (expected[1] | expected[2])[key], rtol=1e-9, atol=1e-12, msg=where)
    assert held == {name: alone[name][1].keys() for name in names}


def held_here(mesh, runs):
    """How many numbers of weights, averages, moments and gradients are in this process, and of the networks."""
    training = Training(build_fleet(runs, dataset=noisy_squares(), mesh=mesh), None)
    training.advance()
    fleet = training.fleet
    (turn,) = fleet.turns
    weights = [leaf.tensor for cohort in (fleet.cohort, fleet.average) for leaf in cohort.leaves()]
    moments = [value for state in turn.optimizer.state.values() for name, value in state.items() if name != "step"]
    gradients = [leaf.tensor.grad for leaf in turn.leaves]
    return *(sum(t.numel() for t in kind) for kind in (weights, moments, gradients)), fleet.cohort.parameter_count


def test_a_process_holds_its_shard_of_weights_averages_moments_and_gradients():
    run = BASE.replace(method="dml", optimizer="adam", precision="float32")  # whose gradients torch adds up otherwise
    each = job_of(held_here, "data=2,shard=true", 2, [run])
    parameters = each[0][-1]
    assert [sum(kind) for kind in zip(*each, strict=True)][:3] == [2 * parameters, 2 * parameters, parameters]
    assert min(weights for weights, *_ in each) > 0.7 * parameters  # of twice as many: nearly half
    whole = job_of(held_here, None, 1, [run])[0]
    assert whole == (2 * parameters, 2 * parameters, parameters, parameters)


def refused(mesh, settings):
    try:
        build_fleet([BASE.replace(**settings)], dataset=noisy_squares(), mesh=mesh)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"execute": "stack"}, "mesh: shard=true: execute='stack' cannot be sharded; set execute=loop"),
        (
            {"models": ("mlp:hidden=6,layers=2",), "branch_at": "stage2"},
            "mesh: shard=true: branches of one trunk cannot",
        ),
    ],
)
def test_what_cannot_be_sharded_says_so(settings, message):
    for said in job_of(refused, "data=2,shard=true", 2, settings):
        assert message in said
