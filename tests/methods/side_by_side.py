"""Branches beside plain modules that share a trunk, and a fleet of two seeds beside each seed alone."""

import copy

import torch

from codistill.training.build import build_fleet
from codistill.training.state import Training
from fleet_batches import batches_of
from methods.three_steps import BASE


def check_branches(training, loss, *, at="stage3", trunk_factor=1.0, after=None, steps=3, rtol=1e-7):
    """As `three_steps.check`, for the branches of one trunk.

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


__all__ = ["check_branches", "check_seeds"]
