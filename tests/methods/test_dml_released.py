"""The authors' released code: a new batch for every network, and the sum over the others."""

import copy

import pytest
import torch

import naive
from codistill.study import Study
from fleet_batches import batches_of
from methods.references import BASE, training_of


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps(execute):
    training = training_of("dml:total=sum", execute=execute, update="fresh_batch")
    fleet = training.fleet
    nets = [copy.deepcopy(fleet.cohort.network(i)).train() for i in range(3)]
    optimizers = naive.sgd(nets, 0.1)
    for step in range(3):
        seen = []
        for i, (net, optimizer) in enumerate(zip(nets, optimizers, strict=True)):
            (batch,) = batches_of(fleet, 0, step, stream=i)
            seen.append(frozenset(batch.index.tolist()))
            z = net(batch.x)
            others = [naive.without_statistics(other, batch.x) for other in nets if other is not net]
            loss = naive.label_loss(z, batch.y) + sum(naive.softmax_kl(other, z) for other in others)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert len(set(seen)) == 3
        training.advance()
    for i, net in enumerate(nets):
        torch.testing.assert_close(fleet.cohort.peer_state(i), dict(net.state_dict()), rtol=1e-7, atol=1e-9)


def test_it_is_one_entry_of_a_study():
    spec = "dml:total=sum,update=fresh_batch,peers=4"
    (_, entry) = Study("digits", BASE, (spec,), (0,)).entries
    assert entry.name == "dml:peers=4,update=fresh_batch,total=sum"
    assert (str(entry.run.method), entry.run.update, entry.run.peers) == ("dml:total=sum", "fresh_batch", 4)
