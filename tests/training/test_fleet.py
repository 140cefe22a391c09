"""Runs that are trained as one cohort end where each ends by itself."""

import pytest
import torch
from torch import nn

from codistill import checkpoint, data
from codistill.cohort.timing import chosen, computing_with
from codistill.run import Run
from codistill.spec import UnknownName
from codistill.training.batches import draw
from codistill.training.build import build_fleet
from codistill.training.fleet import Execution, peers_by_run
from codistill.training.initial_weights import teacher_networks
from codistill.training.loop import train
from codistill.training.results import results
from codistill.training.state import Training
from codistill.training.step import take

BASE = Run(
    method="alone",
    peers=3,
    models=("cnn:width=4",),
    labels=60,
    batch=20,
    epochs=2,
    precision="float64",
    execute="loop",
)
RUNS = [
    BASE,
    BASE.replace(method="dml", peers=2),
    BASE.replace(method="dml"),
    BASE.replace(method="dml", seed=4),
    BASE.replace(method="kd:teacher=old,graph=ring"),
    BASE.replace(method="alone", seed=4),
]


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def teachers(tmp_path_factory, digits):
    """The folder of a fleet with three runs of two seeds."""
    folder = tmp_path_factory.mktemp("teachers")
    runs = [BASE.replace(epochs=1), BASE.replace(epochs=1, method="dml"), BASE.replace(epochs=1, seed=4)]
    list(train(runs, folder, dataset=digits))
    return folder


def end(runs, dataset, **settings):
    """The state of every run's networks after training, and its results."""
    fleet = build_fleet(runs, dataset=dataset, **settings)
    training = Training(fleet, None)
    while training.step < fleet.total:
        training.advance()
    states = {run: [fleet.cohort.peer_state(i) for i in fleet.peers_by_run[run]] for run in runs}
    return states, [row.to_json() for row in results(fleet, "test")]


@pytest.mark.parametrize("update", ["together", "in_turn", "fresh_batch"])
@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_a_fleet_ends_where_each_run_ends_by_itself(execute, update, digits, teachers):
    runs = [run.replace(update=update, execute=execute) for run in RUNS]
    together, rows = end(runs, digits, teachers={"old": teachers})
    for run in runs:
        alone, own = end([run], digits, teachers={"old": teachers})
        for mine, theirs in zip(together[run], alone[run], strict=True):
            for name, tensor in mine.items():
                torch.testing.assert_close(tensor, theirs[name], rtol=1e-9, atol=1e-11)
        found = [r for r in rows if (r["method"], r["peers"], r["seed"]) == (str(run.method), run.peers, run.seed)]
        assert [row.get("accuracy") for row in found] == [row.get("accuracy") for row in own]  # pairs have none


def test_runs_do_learn_something_of_their_own(digits):
    """Else the test above would pass for a fleet that trains nothing, or all alike."""
    states, _ = end(RUNS[:4], digits)
    weights = [state[-1]["fc.weight"] for state in states.values()]
    assert not any(torch.allclose(a, b) for i, a in enumerate(weights) for b in weights[:i])


def test_networks_of_one_seed_and_number_start_alike_whatever_the_method(digits):
    runs = [BASE, BASE.replace(method="dml", peers=2), BASE.replace(seed=4)]
    fleet = build_fleet(runs, dataset=digits)
    alone, dml, other = ([fleet.cohort.peer_state(i)["fc.weight"] for i in fleet.peers_by_run[run]] for run in runs)
    assert all(torch.equal(a, b) for a, b in zip(alone, dml, strict=False))
    assert not any(torch.equal(a, b) for a, b in zip(alone, other, strict=True))
    assert not torch.equal(alone[0], alone[1])


def test_runs_of_one_seed_see_the_same_batches_and_seeds_their_own(digits):
    fleet = build_fleet([BASE, BASE.replace(method="dml"), BASE.replace(seed=4)], dataset=digits)
    batches = draw(fleet.streams, fleet.members, (0, 1, 0))
    whole = batches[0].x.whole.value
    x = [whole.inputs[i] for i in range(9)]
    assert all(torch.equal(x[0], other) for other in x[1:3] + x[6:])
    assert not torch.equal(x[0], x[3])
    members = [str(member.runs[0].method) for member in fleet.members]
    assert members == ["alone", "dml"]
    assert [len(batch.y) for batch in batches] == [6, 20]  # of two seeds side by side, and of one


GRID = [
    BASE.replace(models=("mlp:hidden=4",), precision="float32", peers=2, method=method, seed=seed, **rates)
    for rates in ({"learning_rate": 0.1}, {"learning_rate": 0.3}, {"weight_decay": 0.1})
    for method in ("dml", "alone", "ktg")
    for seed in (0, 1)
]


@pytest.mark.parametrize("execute", ["loop", "stack"])
@pytest.mark.parametrize("changes", [{"clip": 0.5}, {"optimizer": "adamw"}, {"average": 0.9}])
def test_runs_of_several_rates_and_decays_end_bit_for_bit_where_each_ends_by_itself(changes, execute, digits):
    runs = [run.replace(execute=execute, threads=1, **changes) for run in GRID if run.method.name != "ktg"]
    together, _ = end(runs, digits)
    for run in runs[:1] + runs[5:8]:
        alone, _ = end([run], digits)
        for mine, theirs in zip(together[run], alone[run], strict=True):
            assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    ends = {run: next(iter(state[0].values())) for run, state in together.items() if run.method.name == "alone"}
    assert not any(torch.equal(ends[a], ends[b]) for a in ends for b in ends if a != b)


def test_a_grid_has_one_method_where_peers_meet_along_edges_and_one_for_each_run_else(digits):
    fleet = build_fleet([run.replace(execute="stack") for run in GRID], dataset=digits)
    assert [(str(member.run.method), len(member.runs)) for member in fleet.members] == [
        *[("dml", 6), ("alone", 6)],
        *[("ktg", 1)] * 6,
    ]
    groups = fleet.turns[0].optimizer.param_groups
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(0.1, 5e-4), (0.3, 5e-4), (0.1, 0.1)]
    fleet.turns[0].set_rates(0.5)
    assert [group["lr"] for group in groups] == [0.05, 0.15, 0.05]


def test_the_log_tells_runs_of_several_rates_apart(digits, tmp_path):
    runs = [run.replace(execute="stack", epochs=1, update="in_turn") for run in GRID if run.method.name == "dml"]
    records = list(train([*runs, runs[0].replace(method="alone")], tmp_path, dataset=digits, part=None))
    (lines,) = (record.lines for record in records if record.kind == "epoch")
    assert [line["run"] for line in lines[:2]] == [
        f"dml/peers=2/update=in_turn/seed={seed}/learning_rate=0.1/weight_decay=0.0005" for seed in (0, 1)
    ]
    assert lines[-1]["run"] == "alone/peers=2/update=in_turn/seed=0"
    assert len({line["run"] for line in lines}) == 7
    assert len({line["learning_rate"] for line in lines}) == 2  # of the last step: the peaks of this schedule differ


@pytest.mark.parametrize(
    ("setting", "value"), [("epochs", 3), ("momentum", 0.5), ("labels", 70), ("augment", ("crop:pad=1",))]
)
def test_runs_that_differ_in_a_shared_setting_are_refused(setting, value, digits):
    with pytest.raises(ValueError, match=f"differ in {setting} .* they may differ in method, peers, models, seed, "):
        build_fleet([BASE, BASE.replace(method="dml", **{setting: value})], dataset=digits)


def test_the_same_run_twice_is_refused(digits):
    with pytest.raises(ValueError, match="the same run is there twice"):
        build_fleet([BASE, BASE], dataset=digits)
    with pytest.raises(ValueError, match="there is no run"):
        build_fleet([])


def test_a_teachers_folder_gives_the_network_of_the_same_seed(digits, teachers):
    saved = checkpoint.load(checkpoint.latest(teachers)).peers
    places = peers_by_run(checkpoint.read_runs(teachers))
    for seed in (0, 4):
        (place,) = [peers for run, peers in places.items() if run.method.name == "alone" and run.seed == seed]
        nets = teacher_networks(teachers, BASE.replace(method="dml", seed=seed), digits)
        assert len(nets) == 3
        for net, peer in zip(nets, place, strict=True):
            for name, tensor in net.state_dict().items():
                assert torch.equal(tensor, saved[f"{peer}.{name}"].to(tensor.dtype))


def test_the_only_run_of_a_teachers_folder_serves_every_seed(digits, tmp_path):
    list(train(BASE.replace(method="dml", epochs=1), tmp_path, dataset=digits))
    one, two = (teacher_networks(tmp_path, BASE.replace(seed=seed), digits) for seed in (0, 9))
    assert torch.equal(one[0].fc.weight, two[0].fc.weight)


def test_a_seed_that_the_teachers_folder_has_not_is_said(digits, teachers):
    with pytest.raises(ValueError, match="no run of method 'alone' and seed 9"):
        teacher_networks(teachers, BASE.replace(seed=9), digits)


def test_a_teacher_that_is_not_there_is_said(digits, tmp_path):
    run = BASE.replace(method=f"kd:teacher={tmp_path}")
    with pytest.raises(ValueError, match=r"teacher=.*is not the folder of a run"):
        build_fleet([run], dataset=digits)
    checkpoint.write_runs(tmp_path, [BASE])
    with pytest.raises(ValueError, match=r"teacher=.*has no checkpoint: give the folder of a finished run"):
        build_fleet([run], dataset=digits)


def test_a_teacher_of_other_networks_is_said(digits, tmp_path):
    run = BASE.replace(epochs=1)
    list(train(run, tmp_path, dataset=digits))
    checkpoint.write_runs(tmp_path, [run.replace(models=("cnn:width=5",))])
    with pytest.raises(ValueError, match=r"teacher=.*does not fit data='digits': peer 0: .* this network's is"):
        teacher_networks(tmp_path, run, digits)


@pytest.mark.parametrize("peers", [2, 3, 5])
def test_a_ring_of_teachers_never_gives_a_student_its_own_twin(peers, digits, teachers):
    """Student i and network i trained alone have the same start; what i is taught is network i + 1 of its own seed."""
    runs = [BASE.replace(method="kd:teacher=old,graph=ring", peers=peers, seed=seed) for seed in (0, 4)]
    fleet = build_fleet(runs, dataset=digits, teachers={"old": teachers})
    (member,) = fleet.members
    w = member.method.graph.matrix(2 * peers, 6)
    for seed in range(2):
        for i in range(peers):
            (taught_by,) = w[seed * peers + i].nonzero().flatten().tolist()
            assert taught_by // 3 == seed
            assert taught_by % 3 != i


def test_turns_step_one_peer_after_the_other(digits):
    fleet = build_fleet([BASE.replace(method="dml", update="in_turn"), BASE.replace(update="in_turn")], dataset=digits)
    assert [slot.turn for slot in fleet.slots] == [0, 1, 2, 0, 1, 2]
    owned = [{leaf.peers[0] for leaf in turn.leaves} for turn in fleet.turns]
    assert owned == [{0, 3}, {1, 4}, {2, 5}]
    take(fleet, 0, 0)
    assert fleet.cohort.passes.forward == 5 + 5


def test_networks_of_other_classes_are_refused(digits):
    nets = [nn.Sequential(nn.Flatten(), nn.Linear(64, 7)) for _ in range(3)]
    with pytest.raises(ValueError, match="give 7 classes, data='digits' has 10"):
        build_fleet([BASE], dataset=digits, networks=nets)


def test_too_few_networks_are_refused(digits):
    with pytest.raises(ValueError, match="1 networks were given for 3 peers"):
        build_fleet([BASE], dataset=digits, networks=[nn.Linear(64, 10)])


def test_a_device_that_is_not_there_is_said(digits):
    if torch.backends.mps.is_available():
        pytest.skip("it is there")
    with pytest.raises(ValueError, match="device='mps' is not there .*: set device=cpu"):
        build_fleet([BASE.replace(device="mps")], dataset=digits)
    with pytest.raises(ValueError, match="device='gpu' is not there"):
        build_fleet([BASE.replace(device="gpu")], dataset=digits)


def test_a_misspelt_network_or_schedule_gets_the_nearest(digits):
    with pytest.raises(UnknownName, match="did you mean 'cnn'"):
        build_fleet([BASE.replace(models=("cn",))], dataset=digits)
    with pytest.raises(UnknownName, match="did you mean 'cosine'"):
        build_fleet([BASE.replace(schedule="cosin")], dataset=digits)


def test_timing_chooses_the_faster_executor_and_says_both(digits):
    fleet = build_fleet([BASE.replace(execute="auto")], dataset=digits)
    assert set(fleet.execution.timing) == {"stack", "loop", "channels_last"}
    assert fleet.execution.execute == chosen(fleet.execution.timing)


@pytest.mark.parametrize(
    ("models", "tried"),
    [
        (("cnn:width=2",), {"loop", "channels_last"}),  # one network: nothing to stack
        (("cnn:width=2", "cnn:width=4"), {"loop", "channels_last"}),  # nor with heterogeneous ones
        (("mlp:hidden=4", "cnn:width=2"), {"loop", "channels_last"}),
        (("mlp:hidden=4", "mlp:hidden=4"), {"loop", "stack"}),  # no convolution
        (("mlp:hidden=4", "mlp:hidden=5"), set()),
        (("mlp:hidden=4",), set()),
    ],
)
def test_only_executors_that_may_differ_are_timed(models, tried, digits):
    method = "dml" if len(models) > 1 else "alone"
    run = BASE.replace(execute="auto", method=method, peers=len(models), models=models)
    fleet = build_fleet([run], dataset=digits)
    assert set(fleet.execution.timing) == tried
    assert fleet.execution.execute in (tried or {"loop"})


def test_threads_are_timed_where_there_are_several_and_nothing_moves(digits):
    run = BASE.replace(execute="loop", models=("mlp:hidden=4",))
    fleet = build_fleet([run], dataset=digits)
    before = torch.get_num_threads(), torch.get_rng_state()
    with computing_with(2):
        timed = build_fleet([run], dataset=digits)
        assert torch.get_num_threads() == 2
    assert set(timed.execution.thread_timing) == {"1", "2"}
    assert timed.execution.threads in (1, 2)
    with computing_with(1):
        assert build_fleet([run], dataset=digits).execution.thread_timing == {}
    assert build_fleet([run.replace(threads=3)], dataset=digits).execution == Execution("loop", {}, 3, {})
    assert torch.get_num_threads() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])
    for i in range(3):
        assert all(torch.equal(t, fleet.cohort.peer_state(i)[n]) for n, t in timed.cohort.peer_state(i).items())


def test_a_run_computes_with_its_threads_and_says_them(tmp_path, digits):
    run = BASE.replace(execute="loop", models=("mlp:hidden=4",), threads=2, epochs=1)
    with computing_with(1):
        records = train(run, tmp_path, dataset=digits)
        start = next(records)
        assert start.facts["threads"] == torch.get_num_threads() == 2
        list(records)
        assert torch.get_num_threads() == 1
        assert checkpoint.load(checkpoint.latest(tmp_path)).facts["threads"] == 2
        resumed = train(run, tmp_path, dataset=digits, resume=True)
        assert next(resumed).facts["threads"] == torch.get_num_threads() == 2
        resumed.close()
        assert torch.get_num_threads() == 1


def test_the_fastest_executor_is_chosen_and_channels_last_where_it_is_clearly_so():
    assert chosen({"loop": 2.0, "stack": 1.0}) == "stack"
    assert chosen({"loop": 1.0, "stack": 2.0, "channels_last": 0.95}) == "loop"
    assert chosen({"loop": 1.0, "stack": 2.0, "channels_last": 0.8}) == "channels_last"
    assert chosen({"loop": 1.0, "stack": 0.5, "channels_last": 0.48}) == "stack"
    assert chosen({"loop": 1.0, "channels_last": 0.5}) == "channels_last"


def test_timing_leaves_the_networks_as_they_were(digits):
    timed, plain = (build_fleet([BASE.replace(execute=e)], dataset=digits).cohort for e in ("auto", "loop"))
    assert timed.passes.forward == plain.passes.forward == 0
    for i in range(3):
        assert all(torch.equal(t, plain.peer_state(i)[n]) for n, t in timed.peer_state(i).items())


def test_a_teacher_may_be_a_checkpoint_or_a_module_of_your_own(tmp_path, digits, monkeypatch):
    run = BASE.replace(method="alone", peers=1, epochs=2, checkpoint_every=1, seed=4)
    list(train(run, tmp_path / "big", dataset=digits))
    first, last = sorted((tmp_path / "big" / "checkpoints").iterdir())
    old, new, newest = (
        teacher_networks(folder, BASE, digits)[0].state_dict() for folder in (first, last, tmp_path / "big")
    )
    assert all(torch.equal(new[name], newest[name]) for name in new)
    assert any(not torch.equal(old[name], new[name]) for name in new)

    own = "from torch import nn\ndef net(c, s): return nn.Sequential(nn.Flatten(), nn.Linear(64, c))\n"
    (tmp_path / "own_teacher.py").write_text(own + "def wide(c, s): return net(c + 1, s)\n")
    monkeypatch.syspath_prepend(tmp_path)
    member = build_fleet([BASE.replace(method="kd:teacher=own_teacher:net")], dataset=digits).members[0]
    assert isinstance(member.method.teacher.network(0)[1], torch.nn.Linear)
    with pytest.raises(ValueError, match="gives 11 classes, data='digits' has 10"):
        build_fleet([BASE.replace(method="kd:teacher=own_teacher:wide")], dataset=digits)
