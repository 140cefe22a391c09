"""What the tests of methods compare with: naive references, step by step, seed by seed, or on tables of numbers."""

import copy

import torch
from torch import nn

import naive
from codistill import models
from codistill.batch import Batch
from codistill.cohort import Cohort
from codistill.methods import get
from codistill.run import Run
from codistill.training.build import build_fleet, repeat_graphs
from codistill.training.initial_weights import teacher_networks
from codistill.training.loop import train
from codistill.training.records import logged
from codistill.training.state import Training
from fleet_batches import batches_of
from naive_features import walk

# Three optimizer steps of `train`, beside plain modules ---------------------------------------------------------------

BASE = Run(
    models=("cnn:width=4",),
    peers=3,
    labels=60,
    valid=0,
    batch=20,
    epochs=2,
    learning_rate=0.1,
    weight_decay=5e-4,
    schedule="constant",
    precision="float64",
    seed=3,
)


def teacher_folder(folder, peers=3, **settings):
    """The folder of a finished, tiny run of networks trained alone: a teacher for ``teacher=...``."""
    run = BASE.replace(method="alone", peers=peers, epochs=1, seed=9, **settings)
    list(logged(train(run, folder), folder))
    return folder


def training_of(spec, *, execute="loop", teacher=None, **settings):
    """A `Training` at its first step; ``teacher`` is a folder, named ``t`` in the spec: ``kd:teacher=t``."""
    run = BASE.replace(method=spec, execute=execute, **settings)
    return Training(build_fleet([run], teachers={"t": teacher} if teacher else None), None)


def check(training, loss, *, after=None, steps=3, rtol=1e-7):
    """Three steps of both end in the same parameters and buffers of every peer (and of the method).

    Args:
        training: of `training_of`, update "together".
        loss: ``loss(nets, batch, progress, method) -> scalar``, the sum over peers of what each minimises, from plain
            modules in train mode (``net(x)`` moves batch statistics; `naive.without_statistics` does not); ``method``
            is a deep copy of the prepared method, for its parameters (never for its formula).
        after: ``after(nets, batch, progress, method)``, called once a step has been taken.
    """
    fleet = training.fleet
    member = fleet.members[0]
    nets = [copy.deepcopy(fleet.cohort.network(i)).train() for i in range(len(fleet.cohort))]
    method = copy.deepcopy(member.method)
    mine = [p for net in nets for p in net.parameters()] + [p for p in method.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(mine, lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    moved = [copy.deepcopy(net.state_dict()) for net in nets]
    for step in range(steps):
        epoch, within = divmod(step, fleet.steps)
        progress = step / fleet.total
        if within == 0:
            method.start_epoch(epoch)
        batch = batches_of(fleet, epoch, within)[0]
        total = loss(nets, batch, progress, method)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        if after is not None:
            after(nets, batch, progress, method)
        training.advance()
    for i, net in enumerate(nets):
        state = fleet.cohort.peer_state(i)
        for name, expected in net.state_dict().items():
            torch.testing.assert_close(
                state[name], expected, rtol=rtol, atol=1e-9, msg=lambda m, n=name, k=i: f"{k} {n}: {m}"
            )
        parameters = [name for name, _ in net.named_parameters()]
        assert any(not torch.equal(moved[i][name], net.state_dict()[name]) for name in parameters)
    own = dict(method.named_parameters())
    for name, parameter in member.method.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.detach(), own[name].detach(), rtol=rtol, atol=1e-9)


# Branches of a trunk; seeds side by side ------------------------------------------------------------------------------


def check_branches(training, loss, *, at="stage3", trunk_factor=1.0, after=None, steps=3, rtol=1e-7):
    """As `check`, for the branches of one trunk.

    Args:
        training: of `training_of`.
        loss: ``loss(stem, heads, batch, progress, method) -> scalar``; ``stem`` is what the trunk gives.
        at: where they branch.
        trunk_factor: the trunk's gradient is multiplied by this.
        after: ``after(trunk, heads, batch, progress, method)``, once a step has been taken.
        steps: how many.
        rtol: of the comparison.
    """
    fleet = training.fleet
    member = fleet.members[0]
    nets = [copy.deepcopy(fleet.cohort.network(i)).train() for i in range(len(fleet.cohort))]
    place = [name for name, _ in nets[0].named_children()].index(at)
    trunk, heads = nets[0][:place], [net[place:] for net in nets]
    method = copy.deepcopy(member.method)
    modules = [trunk, *heads]
    mine = [p for m in modules for p in m.parameters()] + [p for p in method.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(mine, lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    first = copy.deepcopy([m.state_dict() for m in modules])
    for step in range(steps):
        epoch, within = divmod(step, fleet.steps)
        batch = batches_of(fleet, epoch, within)[0]
        optimizer.zero_grad()
        loss(trunk(batch.x), heads, batch, step / fleet.total, method).backward()
        for parameter in trunk.parameters():
            parameter.grad.mul_(trunk_factor)
        optimizer.step()
        if after is not None:
            after(trunk, heads, batch, step / fleet.total, method)
        training.advance()
    for i, head in enumerate(heads):
        state = fleet.cohort.peer_state(i)
        expected = {**trunk.state_dict(), **head.state_dict()}
        assert state.keys() == expected.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(
                state[name], tensor, rtol=rtol, atol=1e-9, msg=lambda m, n=name, k=i: f"{k} {n}: {m}"
            )
    for before, module in zip(first, modules, strict=True):
        assert not any(torch.equal(before[n], t) for n, t in module.state_dict().items())
    own = dict(method.named_parameters())
    for name, parameter in member.method.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.detach(), own[name].detach(), rtol=rtol, atol=1e-9)


def check_seeds(spec, *, seeds=(3, 5), steps=4, **settings):
    """Two seeds in one fleet end where each of them ends alone."""
    runs = [BASE.replace(method=spec, seed=seed, **settings) for seed in seeds]
    both, singles = Training(build_fleet(runs), None), [Training(build_fleet([run]), None) for run in runs]
    steps_of_both = [both.advance() for _ in range(steps)]
    for number, (run, single) in enumerate(zip(runs, singles, strict=True)):
        member, block = next(
            (m, member.block(member.runs.index(run)))
            for m, member in enumerate(both.fleet.members)
            if run in member.runs
        )
        for terms in steps_of_both:
            for name, term in single.advance()[0].items():
                mine = terms[member][name]
                mine = mine[block.start : block.stop] if mine.dim() else mine
                torch.testing.assert_close(mine, term, rtol=1e-7, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}")
        for i in range(run.peers):
            state = both.fleet.cohort.peer_state(number * run.peers + i)
            for name, tensor in single.fleet.cohort.peer_state(i).items():
                torch.testing.assert_close(state[name], tensor, rtol=1e-7, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}")


# Features: between peers, heterogeneous peers, and from wider teachers ------------------------------------------------

WIDE = {"models": ("cnn:width=6",), "peers": 2}
SIZE = {"batch": 12}  # the loops are slow
UNLIKE = ("cnn:width=4", "cnn:width=6", "cnn:width=4")


def wide_teachers(folder):
    """The folder of two networks with other channels than the students'."""
    return teacher_folder(folder, **WIDE)


def loss_of(edge_loss, names, weight, teachers=None):
    """sum over peers of CE_i + weight * mean over features of sum_j W_ij L(f_i, f_j), one edge at a time.

    Args:
        edge_loss: ``edge_loss(f_i, f_j, module, edge) -> scalar``; ``module`` holds what the method learns for a
            feature (None where it learns nothing), ``edge`` the place in its parameters: (module's number, row).
        names: of features, as `naive_features.walk` has them.
        weight: of the method.
        teachers: modules in eval mode; None: the other peers.
    """

    def loss(nets, batch, progress, method):
        walked = [walk(net, batch.x) for net in nets]
        sources = walked if teachers is None else [walk(net, batch.x) for net in teachers]
        edges = [(i, j) for i in range(len(nets)) for j in range(len(sources)) if teachers is not None or i != j]
        total = sum(naive.label_loss(z, batch.y) for z, _ in walked)
        for k, name in enumerate(names):
            module = method.losses[k] if len(method.losses) else None
            single = module is not None and len(module.connectors) == len(edges)
            for e, (i, j) in enumerate(edges):
                mine, theirs = walked[i][1][name], sources[j][1][name].detach()
                value = edge_loss(mine, theirs, module, (e, 0) if single else (0, e))
                total = total + weight * value / (len(names) * (len(edges) // len(nets)))
        return total

    return loss


def between_peers(spec, edge_loss, names, weight, execute, **settings):
    training = training_of(f"{spec},teacher=none", execute=execute, **SIZE, **settings)
    check(training, loss_of(edge_loss, names, weight))
    return training


def from_teachers(spec, edge_loss, names, weight, execute, folder, **settings):
    training = training_of(f"{spec},teacher=t", execute=execute, teacher=folder, **SIZE, **settings)
    fleet = training.fleet
    teachers = [net.double().eval() for net in teacher_networks(folder, fleet.run, fleet.dataset)]
    check(training, loss_of(edge_loss, names, weight, teachers))
    return training


def small(spec, kinds="ccc", blocks=1, **settings):
    """A method prepared for a few networks with stages 1 to 3, and a batch with an unlabelled sample."""
    torch.manual_seed(0)
    nets = [models.build({"c": "cnn:width=4", "w": "cnn:width=6", "r": "resnet20"}[k], 10, (1, 8, 8)) for k in kinds]
    cohort = Cohort([net.double() for net in nets])
    batch = Batch(torch.randn(6, 1, 8, 8, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 4, -1]))
    method = repeat_graphs(get(spec, **{"teacher": None, **settings}), blocks)
    method.prepare(cohort, batch)
    return cohort, batch, method


def check_gradients(spec, **settings):
    """What every imitation promises: nobody moves those who are imitated, and unlabelled samples imitate too."""
    cohort, batch, method = small(spec, **settings)
    terms = method(cohort, batch)
    assert {name: tuple(term.shape) for name, term in terms.items()} == {"task": (3,), "mimic": (3,)}
    terms["mimic"][0].backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in cohort.network(0).parameters())
    assert not any(p.grad is not None and p.grad.any() for i in (1, 2) for p in cohort.network(i).parameters())
    only = Batch(batch.x, torch.full_like(batch.y, -1))
    terms = method(cohort, only)
    assert terms["task"].tolist() == [0.0] * 3
    assert (terms["mimic"] > 0).all()


# Networks that are tables of numbers: their logits, whatever goes in, are their parameters ----------------------------


class Table(nn.Module):
    """``z[x]`` and, to be tapped at ``fc:input`` and ``stage``, ``h[x]``, for the number x of a view."""

    def __init__(self, z, h=None):
        super().__init__()
        self.z, self.h = nn.Parameter(z), nn.Parameter(z.new_zeros(len(z), z.shape[1], 2) if h is None else h)
        self.stage, self.fc = nn.Identity(), nn.Identity()

    def forward(self, x):
        self.fc(self.stage(self.h[int(x)]))
        return self.z[int(x)]


def draw(*shape, seed=0, scale=2.0):
    """Numbers in float64."""
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cohort_of(z, h=None):
    """Of logits ``[P, views, B, C]`` and features, ``[P, views, B, ...]`` or a list: a cohort that has them."""
    return Cohort([Table(z[i].clone(), None if h is None else h[i].clone()) for i in range(len(z))])


def view(number):
    """The inputs of a view."""
    return torch.tensor(number)


def gradients(cohort):
    """By network and parameter; zeros where there is none."""
    return [
        {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in cohort.network(i).named_parameters()}
        for i in range(len(cohort))
    ]


def same(terms, expected, cohort, z, h=None):
    """Values ``{term: [P]}`` as expected, and gradients of the sum of all of them.

    Args:
        terms: of the method.
        expected: the same from the naive reference on ``z`` (and ``h``), leaf tensors.
        cohort: of `cohort_of`.
        z: list of a leaf for each peer.
        h: likewise, or None.
    """
    assert terms.keys() == expected.keys()
    for name, values in expected.items():
        values = torch.stack([torch.as_tensor(v, dtype=torch.float64) for v in values])
        torch.testing.assert_close(terms[name], values, rtol=1e-9, atol=1e-12, msg=lambda m, n=name: f"{n}: {m}")
    sum(t.sum() for t in terms.values()).backward()
    sum(sum(values) for values in expected.values()).backward()
    for i, found in enumerate(gradients(cohort)):
        for name, leaf in (("z", z[i]), ("h", None if h is None else h[i])):
            if leaf is not None:
                wanted = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
                torch.testing.assert_close(found[name], wanted, rtol=1e-8, atol=1e-12)


def leaves(values):
    """A copy of each that takes gradients."""
    return [one.clone().requires_grad_() for one in values]
