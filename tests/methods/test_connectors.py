"""Connectors between channels, and weights of channels."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from codistill.methods.parts.connectors import Connector, Excitation
from codistill.training.state import Training
from methods.references import UNLIKE, small, training_of


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("positions", [(), (5,), (2, 3)])
@pytest.mark.parametrize("norm", [False, True])
def test_every_edge_has_the_layers_of_torch(norm, positions):
    connector = Connector(3, drawn(4, 5, *positions), drawn(4, 2, *positions), norm=norm)
    x = drawn(3, 4, 5, *positions, seed=1)
    references = []
    for e in range(3):
        conv = nn.Conv1d(5, 2, 1, bias=not norm).double()
        conv.weight.data = connector.weight.data[e, :, :, None]
        if not norm:
            connector.bias.data[e] = drawn(2, seed=e)
            conv.bias.data = connector.bias.data[e]
        references.append(nn.Sequential(conv, nn.BatchNorm1d(2).double()) if norm else nn.Sequential(conv))
    for mode in (True, True, False):  # running statistics move in training and are used in evaluation
        connector.train(mode)
        got = connector(x)
        assert got.shape == (3, 4, 2, *positions)
        for e, reference in enumerate(references):
            flat = x[e].flatten(2) if positions else x[e].unsqueeze(-1)
            expected = reference.train(mode)(flat).reshape(4, 2, *positions)
            torch.testing.assert_close(got[e], expected, rtol=1e-10, atol=1e-12)
    if norm:
        means = torch.cat([reference[1].running_mean for reference in references])
        torch.testing.assert_close(connector.norm.running_mean, means)


def test_weights_start_as_convolutions_of_torch_do():
    connector = Connector(50, drawn(2, 16, 2, 2), drawn(2, 32, 2, 2))
    assert connector.weight.shape == (50, 32, 16)
    assert 0.24 < connector.weight.abs().max() <= 0.25  # 1 / sqrt(16)
    assert connector.weight.dtype == torch.float64
    assert not connector.bias.any()


def test_weights_of_channels_are_an_excitation_of_the_pooled_source():
    block = Excitation(2, drawn(4, 5, 2, 3), 3)
    block.squeeze_bias.data, block.excite_bias.data = drawn(2, 3, seed=3), drawn(2, 5, seed=4)
    sources = drawn(2, 4, 5, 2, 3, seed=1)
    got = block(sources)
    for e in range(2):
        h = F.linear(sources[e].mean((2, 3)), block.squeeze[e], block.squeeze_bias[e]).relu()
        rho = torch.sigmoid(F.linear(h, block.excite[e], block.excite_bias[e]))
        torch.testing.assert_close(got[e], rho / rho.sum(1, keepdim=True))


def test_a_connectors_batch_norm_follows_the_methods_mode():
    cohort, batch, method = small("ofd")
    method.eval()
    before = {n: b.clone() for n, b in method.named_buffers()}
    assert before
    method(cohort, batch)
    assert all(torch.equal(b, before[n]) for n, b in method.named_buffers())
    method.train()
    method(cohort, batch)
    assert not any(torch.equal(b, before[n]) for n, b in method.named_buffers())


@pytest.mark.parametrize("models", [("cnn:width=4",), UNLIKE])
@pytest.mark.parametrize("name", ["ofd", "afd", "fitnet"])
def test_what_is_drawn_does_not_depend_on_how_peers_are_executed(name, models):
    one, two = (training_of(f"{name}:teacher=none", execute=execute, models=models) for execute in ("loop", "stack"))
    own = [dict(t.fleet.members[0].method.state_dict()) for t in (one, two)]
    assert bool(own[0]) == (name != "fitnet" or models == UNLIKE)
    torch.testing.assert_close(own[0], own[1], rtol=0, atol=0)


@pytest.mark.parametrize("name", ["ofd", "afd"])
def test_they_are_saved_and_restored_with_the_optimizers_state(name, tmp_path):
    whole = training_of(f"{name}:teacher=none", models=UNLIKE)
    whole.folder = tmp_path
    whole.advance(), whole.advance()
    whole.save()
    from codistill import checkpoint

    resumed = Training(training_of(f"{name}:teacher=none", models=UNLIKE, seed=3).fleet, None)
    resumed.restore(checkpoint.load(checkpoint.latest(tmp_path)))
    for _ in range(2):
        torch.testing.assert_close(whole.advance(), resumed.advance(), rtol=0, atol=0)
    states = [t.fleet.members[0].method.state_dict() for t in (whole, resumed)]
    torch.testing.assert_close(dict(states[0]), dict(states[1]), rtol=0, atol=0)


def test_a_prepared_method_can_be_copied():
    cohort, batch, method = small("afd", "cwc")
    copied = copy.deepcopy(method)
    torch.testing.assert_close(method(cohort, batch), copied(cohort, batch), rtol=0, atol=0)
