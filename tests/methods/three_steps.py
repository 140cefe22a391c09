"""Three optimizer steps of a method through `train`'s own machinery, beside a naive reference."""

import copy

import torch

import naive
from codistill.run import Run
from codistill.training.build import build_fleet
from codistill.training.loop import train
from codistill.training.records import logged
from codistill.training.state import Training
from fleet_batches import batches_of

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


__all__ = ["BASE", "check", "naive", "teacher_folder", "training_of"]
