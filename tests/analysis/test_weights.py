import pytest
import torch
from torch import nn

from analysis.small import net, same, state
from codistill.analysis.weights import drawn, filter_norms, moved, norm, weights
from codistill.models.parts.mode import evaluating
from small_nets import Tied, several


def test_numbers_are_the_same_for_networks_of_like_architecture_and_others_for_another_draw():
    a, b = several("cc")
    first, second, third = drawn(a, 3, "noise", 0), drawn(b, 3, "noise", 0), drawn(a, 3, "noise", 1)
    assert first.keys() == dict(a.named_parameters()).keys()
    for name, p in a.named_parameters():
        assert torch.equal(first[name], second[name])
        assert not torch.equal(first[name], third[name])
        assert first[name].shape == p.shape
    assert not torch.equal(first["0.weight"], drawn(a, 4, "noise", 0)["0.weight"])
    assert not torch.equal(first["1.weight"], first["1.bias"])  # of one shape, each by its name


def test_what_is_drawn_is_standard_normal_or_signs():
    wide = nn.Linear(200, 200)
    values = drawn(wide, 0, "x")["weight"]
    assert abs(float(values.mean())) < 0.02
    assert abs(float(values.std()) - 1) < 0.02
    signs = drawn(wide, 0, "x", signs=True)["weight"]
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert abs(float(signs.mean())) < 0.02


def test_the_norm_of_a_filter_is_that_of_what_makes_one_output():
    found = filter_norms({"conv": torch.arange(24.0).view(2, 3, 2, 2), "bias": torch.tensor([-3.0, 4.0])})
    assert found["conv"].shape == (2, 1, 1, 1)
    assert found["conv"].flatten().tolist() == pytest.approx(
        [sum(i * i for i in range(12)) ** 0.5, sum(i * i for i in range(12, 24)) ** 0.5]
    )
    assert found["bias"].tolist() == [3.0, 4.0]
    assert norm({"a": torch.tensor([3.0]), "b": torch.tensor([[4.0]])}) == 5.0


def test_weights_come_back_bit_for_bit_even_after_an_error():
    found = net()
    before = state(found)
    by = drawn(found, 0, "x")
    with moved(found, by):
        for name, p in found.named_parameters():
            assert torch.equal(p, before[0][name] + by[name])
        assert torch.equal(found[1].running_mean, before[0]["1.running_mean"])
    assert same(state(found), before)
    with pytest.raises(KeyError), moved(found, by):
        raise KeyError
    assert same(state(found), before)


def test_a_weight_that_two_layers_share_moves_once():
    tied = Tied()
    before = tied.one.weight.clone()
    with moved(tied, {"one.weight": torch.ones(4, 4)}):
        assert torch.equal(tied.two.weight, before + 1)


def test_every_module_gets_its_own_mode_back():
    found = net()
    found[1].eval()
    before = [m.training for m in found.modules()]
    with evaluating(found):
        assert not any(m.training for m in found.modules())
    assert [m.training for m in found.modules()] == before


def test_what_has_no_weights_is_refused():
    with pytest.raises(ValueError, match="a ReLU has no parameters"):
        weights(nn.ReLU())
    with pytest.raises(ValueError, match="no parameters that learn .requires_grad."):
        weights(nn.Linear(2, 2).requires_grad_(False), learning=True)
