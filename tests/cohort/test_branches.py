"""Branches of one trunk: what plain modules that share a module compute, in a loop and as a stack."""

import copy

import pytest
import torch
from torch import nn

import small_nets
from codistill import checkpoint, data, models
from codistill.batch import Inputs, PerPeer
from codistill.cohort import Cohort
from codistill.cohort.branches import trunk_of
from codistill.run import Run
from codistill.spec import UnknownName
from codistill.training.build import build_fleet
from codistill.training.loop import resume, train
from codistill.training.records import logged
from codistill.training.state import Training

AT = "5"  # the first linear layer: batch norm before it and after it


@pytest.fixture(params=["loop", "stack", "channels_last"])
def execute(request):
    return request.param


def pieces(nets, at=AT, owners=None):
    """The naive way: of every peer its trunk and its head, as plain modules; peers of one trunk hold the same one.

    A slice of a Sequential keeps the names.
    """
    owners = owners or [0] * len(nets)
    first = {owner: owners.index(owner) for owner in owners}
    whole = {owner: copy.deepcopy(nets[i])[: int(at)] for owner, i in first.items()}
    return [(whole[owner], copy.deepcopy(net)[int(at) :]) for owner, net in zip(owners, nets, strict=True)]


def outputs(parts, inputs):
    """Each trunk run once."""
    stems = {}
    z = []
    for (trunk, head), x in zip(parts, inputs, strict=True):
        if id(trunk) not in stems:
            stems[id(trunk)] = trunk(x)
        z.append(head(stems[id(trunk)]))
    return torch.stack(z)


def expected_state(parts, peer):
    trunk, head = parts[peer]
    return {**trunk.state_dict(), **head.state_dict()}


def gradient(cohort, peer, name):
    for leaf in cohort.leaves():
        if leaf.name == name and peer in leaf.peers:
            return leaf.tensor.grad[leaf.peers.index(peer)] if leaf.stacked else leaf.tensor.grad
    raise KeyError(name)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


def both(kinds="ccc", execute="loop", at=AT, owners=None, seed=0):
    nets = small_nets.several(kinds, seed=seed)
    parts = pieces(nets, at, owners)
    return parts, Cohort(nets, execute=execute, branch_at=at, trunks=owners)


OWNERS = [[0, 0, 0], [0, 0, 1, 1], [0, 1, 0, 1, 1]]


@pytest.mark.parametrize("owners", OWNERS, ids=str)
@pytest.mark.parametrize("at", ["1", "3", "5", "8"])
def test_outputs_gradients_and_buffers_are_those_of_plain_modules(execute, owners, at):
    parts, cohort = both("c" * len(owners), execute, at, owners)
    for step in range(3):
        x = small_nets.images(5, seed=step)
        weights = torch.randn(len(owners), 5, 3, generator=torch.Generator().manual_seed(step), dtype=x.dtype)
        z, expected = cohort(x).logits, outputs(parts, [x] * len(owners))
        close(z, expected)
        (z * weights).sum().backward()
        (expected * weights).sum().backward()
    for i, (trunk, head) in enumerate(parts):
        for name, parameter in trunk.named_parameters():  # the sum over its heads, by autograd on the shared module
            close(gradient(cohort, owners.index(owners[i]), name), parameter.grad)
        for name, parameter in head.named_parameters():
            close(gradient(cohort, i, name), parameter.grad)
        state = cohort.peer_state(i)
        assert state.keys() == expected_state(parts, i).keys()
        for name, tensor in expected_state(parts, i).items():
            close(state[name], tensor)
    cohort.eval()
    for trunk, head in parts:
        trunk.eval(), head.eval()
    close(cohort(x).logits, outputs(parts, [x] * len(owners)))


def test_the_trunk_is_one_and_its_gradient_is_the_sum_over_the_heads(execute):
    _, cohort = both("ccc", execute)
    parameters = [p for p in cohort.parameters() if p.shape == (4, 1, 3, 3)]
    assert len(parameters) == 1
    x = small_nets.images(5)
    total = torch.zeros_like(parameters[0])
    for i in range(3):  # one head at a time
        cohort.zero_grad(set_to_none=True)
        with torch.no_grad():
            state = copy.deepcopy(cohort.state_dict())
        cohort(x).logits[i].square().sum().backward()
        cohort.load_state_dict(state)
        total += parameters[0].grad
    cohort.zero_grad(set_to_none=True)
    cohort(x).logits.square().sum().backward()
    close(parameters[0].grad, total)


def test_the_scale_is_of_the_trunks_gradient_alone(execute):
    _, plain = both("ccc", execute)
    _, scaled = both("ccc", execute)
    (group,) = scaled.parts()
    group.trunk_scale = 1 / 3
    x = small_nets.images(5)
    for cohort in (plain, scaled):
        cohort(x).logits.square().sum().backward()
    assert torch.equal(plain.eval()(x).logits, scaled.eval()(x).logits)
    for name in ("0.weight", "1.weight", "1.bias"):
        close(gradient(scaled, 0, name), gradient(plain, 0, name) / 3)
    for i in range(3):
        for name in ("5.weight", "6.bias", "8.weight"):
            close(gradient(scaled, i, name), gradient(plain, i, name))
    with torch.no_grad():
        scaled(x)  # nothing to scale, and no error


def counts(cohort, peer=0):
    return [int(t) for name, t in cohort.peer_state(peer).items() if "num_batches" in name]


def test_the_trunks_statistics_move_once_a_pass_and_never_without_a_gradient(execute):
    _, cohort = both("ccc", execute)
    x = small_nets.images(5)
    with torch.no_grad():
        quiet = cohort(x).logits
    assert counts(cohort) == [0, 0]
    with cohort.remember():
        shared = Inputs(x)
        loud = cohort(shared).logits
        cohort(shared)
    close(quiet, loud)
    assert [counts(cohort, i) for i in range(3)] == [[1, 1]] * 3
    cohort.eval()(x)
    assert counts(cohort) == [1, 1]


@pytest.mark.parametrize("chosen", [[0], [2, 0], [1], [2, 1, 0]])
def test_a_view_of_some_branches_runs_and_moves_no_others(execute, chosen):
    parts, cohort = both("ccc", execute)
    x = small_nets.images(5)
    stem = parts[0][0](x)
    close(cohort[chosen](x).logits, torch.stack([parts[i][1](stem) for i in chosen]))
    for i in range(3):
        for name, tensor in expected_state(parts, i).items():
            close(cohort.peer_state(i)[name], tensor)
    assert (cohort.passes.forward, cohort.passes.backward) == (len(chosen), len(chosen))


def test_views_of_blocks_have_their_own_trunk(execute):
    _, cohort = both("cccc", execute, owners=[0, 0, 1, 1])
    first, second = cohort.parts()
    assert (first.peers, second.peers) == ((0, 1), (2, 3))
    assert cohort[2:].parts() == [second]
    assert trunk_of(cohort[2:].parts(), cohort[2:].peers) is second
    for view in (cohort[:], cohort[1:3], Cohort(small_nets.several("cc"))[:]):
        with pytest.raises(ValueError, match="peers to be the branches of one trunk: set branch_at"):
            trunk_of(view.parts(), view.peers)


def test_heads_may_differ(execute):
    nets = small_nets.several("cc")
    nets.append(nn.Sequential(*copy.deepcopy(nets[0])[:5], nn.Linear(16, 3)).double())
    parts = pieces(nets)
    cohort = Cohort(nets, execute=execute, branch_at=AT)
    x = small_nets.images(5)
    close(cohort(x).logits, outputs(parts, [x] * 3))


def test_a_head_that_writes_over_its_input_does_not_disturb_the_next(execute):
    torch.manual_seed(0)
    nets = [nn.Sequential(nn.Linear(4, 4), nn.SiLU(inplace=True), nn.Linear(4, 3)) for _ in range(3)]
    parts = [(nets[0][:1], net[1:]) for net in copy.deepcopy(nets)]
    x = torch.randn(5, 4)
    expected = torch.stack([head(nets[0][0](x)) for _, head in parts])
    torch.testing.assert_close(Cohort(nets, execute=execute, branch_at="1")(x).logits, expected)


def test_a_module_that_stands_in_two_places_stays_in_both(execute):
    torch.manual_seed(0)
    nets = []
    for _ in range(2):
        relu = nn.ReLU()
        nets.append(nn.Sequential(nn.Linear(4, 4), relu, nn.Linear(4, 4), relu, nn.Linear(4, 3)))
    x = torch.randn(5, 4)
    expected = torch.stack([net[2:](nets[0][:2](x)) for net in copy.deepcopy(nets)])
    cohort = Cohort(nets, execute=execute, branch_at="2")
    torch.testing.assert_close(cohort(x).logits, expected)
    torch.testing.assert_close(cohort.network(1)(x), expected[1])


# Features -----------------------------------------------------------------------------------------------------------


def test_taps_of_trunk_and_heads(execute):
    parts, cohort = both("ccc", execute)
    for tap in ("1", f"{AT}:input", "7"):
        cohort.tap(tap)
    x = small_nets.images(5)
    found = cohort[[2, 0]](x).features
    trunk, _ = parts[0]
    low, stem = trunk[:2](x), copy.deepcopy(trunk)(x)
    for i, peer in enumerate((2, 0)):
        close(found["1"][i], low)
        close(found[f"{AT}:input"][i], stem)
        close(found["7"][i], parts[peer][1][:3](stem))
    with pytest.raises(UnknownName, match="submodule of Sequential"):
        cohort.tap("99"), cohort(x)


def test_a_gradient_goes_through_a_tap_of_the_trunk(execute):
    parts, cohort = both("cc", execute)
    cohort.tap("stem", f"{AT}:input")
    x = small_nets.images(5)
    cohort(x).features["stem"][0].square().sum().backward()
    parts[0][0](x).square().sum().backward()
    close(gradient(cohort, 0, "0.weight"), parts[0][0][0].weight.grad)


# Inputs -------------------------------------------------------------------------------------------------------------


def test_trunks_have_their_own_inputs_and_the_peers_of_one_the_same(execute):
    owners = [0, 0, 1, 1]
    parts, cohort = both("cccc", execute, owners=owners)
    x = small_nets.images(2, 5)
    expected = outputs(copy.deepcopy(parts), [x[i] for i in owners])
    close(cohort(PerPeer(x)).logits, expected)
    _, again = both("cccc", execute, owners=owners)
    close(again(PerPeer(x[owners])).logits, expected)


def test_inputs_that_differ_within_a_trunk_are_refused(execute):
    _, cohort = both("cc", execute)
    with pytest.raises(ValueError, match="branches of one trunk were given inputs that differ from peer to peer"):
        cohort(PerPeer(small_nets.images(2, 5)))


# States and copies --------------------------------------------------------------------------------------------------


def test_states_and_networks_go_round(execute):
    _, source = both("ccc", execute, seed=1)
    _, target = both("ccc", execute, seed=2)
    x = small_nets.images(5)
    source(x)
    for i in range(3):
        target.load_peer_state(i, {name: t.clone() for name, t in source.peer_state(i).items()})
    expected = source.eval()(x).logits
    close(target.eval()(x).logits, expected)
    for i in range(3):
        net = source.network(i)
        assert isinstance(net, nn.Sequential)
        assert list(net.state_dict()) == [n for n, _ in small_nets.convolutional().double().state_dict().items()]
        close(copy.deepcopy(net).eval()(x), expected[i])
        assert net.state_dict().keys() == source.peer_state(i).keys()


def test_a_frozen_copy_is_another_trunk_that_stays(execute):
    _, cohort = both("cccc", execute, owners=[0, 0, 1, 1])
    x = small_nets.images(5)
    cohort(x)
    copies = {(0, 1, 2, 3): cohort.frozen(), (2, 3): cohort[2:].frozen()}
    before = copy.deepcopy(cohort).eval()(x).logits
    with torch.no_grad():
        for p in cohort.parameters():
            p.add_(0.1)
    for peers, copied in copies.items():
        close(copied(x).logits, before[list(peers)])
        assert not any(p.requires_grad for p in copied.parameters())
    with pytest.raises(ValueError, match="branches of one trunk are copied together"):
        cohort[[0, 2]].frozen()


# What cannot be -----------------------------------------------------------------------------------------------------


class Own(nn.Sequential):
    def forward(self, x):
        return super().forward(x) * 2.0


def test_what_cannot_be_branches_is_refused(execute):
    def cohort(nets, at=AT, **settings):
        return Cohort(nets, execute=execute, branch_at=at, **settings)

    with pytest.raises(ValueError, match="branch_at='5': Twice is no nn.Sequential, so it cannot be cut there"):
        cohort([small_nets.Twice(), small_nets.Twice()])
    with pytest.raises(ValueError, match="branch_at='1': Own is no nn.Sequential"):
        cohort([Own(nn.Linear(4, 4), nn.Linear(4, 3)) for _ in range(2)], at="1")
    with pytest.raises(UnknownName, match="no submodule to branch at in Sequential is called '55': did you mean '5'"):
        cohort(small_nets.several("cc"), at="55")
    with pytest.raises(UnknownName, match="no submodule to branch at in Sequential is called '0'"):
        cohort(small_nets.several("cc"), at="0")
    with pytest.raises(ValueError, match="branch_at='3': networks that share a trunk have to be alike before it"):
        cohort(small_nets.several("cl"), at="3")
    with pytest.raises(ValueError, match="branches of one trunk have no turns; use update='together'"):
        cohort(small_nets.several("cc"), turns=[0, 1])


# In a run -----------------------------------------------------------------------------------------------------------

RUN = Run(
    method="one",
    peers=3,
    branch_at="stage3",
    models=("cnn:width=4",),
    labels=60,
    batch=20,
    epochs=4,
    clip=1.0,
    checkpoint_every=0,
    execute="stack",
)


@pytest.mark.parametrize("method", ["one", "clilr", "okddip", "mmt:own_views=false"])
def test_a_run_that_was_left_ends_where_an_unbroken_one_does(method, execute, tmp_path):
    runs = [RUN.replace(method=method, seed=seed, execute=execute) for seed in (0, 1)]
    list(logged(train(runs, tmp_path / "whole"), tmp_path / "whole"))
    records = logged(train(runs, tmp_path / "left"), tmp_path / "left")
    for record in records:
        if record.kind == "step" and record.step == 7:
            break
    records.close()
    list(logged(resume(tmp_path / "left"), tmp_path / "left"))
    one, two = (checkpoint.load(checkpoint.latest(tmp_path / name)) for name in ("whole", "left"))
    for a, b in ((one.peers, two.peers), (one.state, two.state)):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)
    assert any(name.startswith("optimizer.") for name in one.state)
    assert one.facts["passes"] == two.facts["passes"]
    assert (tmp_path / "whole" / "results.jsonl").read_text() == (tmp_path / "left" / "results.jsonl").read_text()
    for peer in (1, 2):  # the trunk is in every peer's state, so that each is a network
        assert torch.equal(one.peers["0.stage1.conv.weight"], one.peers[f"{peer}.stage1.conv.weight"])
    assert not torch.equal(one.peers["0.stage1.conv.weight"], one.peers["3.stage1.conv.weight"])


def test_networks_that_were_given_get_their_trunk_too(execute):
    nets = [models.build("cnn:width=4", 10, (1, 8, 8), seed) for seed in range(3)]
    run = RUN.replace(method="alone", execute=execute, epochs=1)
    list(train(run, networks=nets, part=None))
    a, b, c = (net.state_dict() for net in nets)
    assert torch.equal(a["stage1.conv.weight"], b["stage1.conv.weight"])
    assert torch.equal(a["stage1.conv.weight"], c["stage1.conv.weight"])
    assert not torch.equal(a["fc.weight"], b["fc.weight"])


def test_every_seed_has_a_trunk_and_statistics_move_once_a_step(execute):
    training = Training(build_fleet([RUN.replace(seed=seed, execute=execute) for seed in (0, 1)]), None)
    for _ in range(2):
        training.advance()
    cohort = training.fleet.cohort
    assert [group.peers for group in cohort.parts()] == [(0, 1, 2), (3, 4, 5)]
    for i in cohort.peers:
        assert {int(t) for n, t in cohort.peer_state(i).items() if "num_batches" in n} == {2}
    assert (cohort.passes.forward, cohort.passes.backward) == (12, 12)  # what `prepare` looks at is not counted


def test_auto_times_branches(monkeypatch):
    seen = []
    original = Cohort.__init__

    def watched(self, nets, **settings):
        seen.append(settings.get("branch_at"))
        original(self, nets, **settings)

    monkeypatch.setattr(Cohort, "__init__", watched)
    build_fleet([RUN.replace(execute="auto", threads=1)])
    assert seen == ["stage3"] * 4  # three that are timed, and the one that is trained


@pytest.mark.parametrize("update", ["in_turn", "fresh_batch"])
def test_branches_take_no_turns(update):
    with pytest.raises(ValueError, match="branches of one trunk have no turns; use update='together'"):
        build_fleet([RUN.replace(method="dml", update=update)])


@pytest.mark.parametrize(
    "changes", [{"own_views": True}, {"method": "kdcl"}, {"method": "alone", "shards": True}], ids=str
)
def test_branches_have_no_inputs_of_their_own(changes):
    with pytest.raises(ValueError, match="branches of one trunk (see the same inputs|were given inputs that differ)"):
        build_fleet([RUN.replace(**{"method": "dml", "augment": ("crop:pad=1",), "batch": 10, **changes})])


def test_a_method_of_branches_needs_branches():
    with pytest.raises(ValueError, match="method 'one' needs branches of one trunk: set branch_at, e.g. stage3"):
        build_fleet([RUN.replace(branch_at=None)])


def test_a_run_of_branches_can_be_a_teacher(tmp_path):
    run = RUN.replace(method="dml", epochs=1)
    list(logged(train(run, tmp_path), tmp_path))
    fleet = build_fleet(
        [run.replace(method="kd:teacher=t", branch_at=None)], teachers={"t": tmp_path}, dataset=data.load("digits")
    )
    saved = checkpoint.load(checkpoint.latest(tmp_path))
    teacher = fleet.members[0].method.teacher
    assert len(teacher) == 3
    for i in range(3):
        assert all(torch.equal(t, saved.peers[f"{i}.{n}"]) for n, t in teacher.peer_state(i).items())
