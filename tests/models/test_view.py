"""Networks that see a part of every image."""

import pytest
import torch

from codistill import models
from codistill.cohort import Cohort
from codistill.data import load
from codistill.models.parts.view import MASK, visible
from codistill.run import Run
from codistill.spec import Spec
from codistill.training.initial_weights import network
from codistill.training.loop import restored, train

SHAPE = (3, 5, 8)


def shown(view, c, i, j):
    """Whether a view shows a pixel of an image of 5 x 8, in plain words."""
    top, left = i < 2, j < 4
    return {
        "left": left,
        "right": not left,
        "top": top,
        "bottom": not top,
        "quarter1": top and left,
        "quarter2": top and not left,
        "quarter3": not top and left,
        "quarter4": not top and not left,
        "channel0": c == 0,
        "channel2": c == 2,
    }[view]


VIEWS = ("left", "right", "top", "bottom", "quarter1", "quarter2", "quarter3", "quarter4", "channel0", "channel2")


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_shows_its_part(view):
    mask = visible("a net", view, SHAPE)
    assert mask.shape == SHAPE
    for c in range(3):
        for i in range(5):
            for j in range(8):
                assert bool(mask[c, i, j]) == shown(view, c, i, j)


@pytest.mark.parametrize("parts", [("left", "right"), ("top", "bottom"), [f"quarter{i}" for i in range(1, 5)]], ids=str)
def test_the_parts_are_disjoint_and_make_the_whole(parts):
    assert (sum(visible("a net", view, SHAPE).int() for view in parts) == 1).all()


@pytest.mark.parametrize("spec", ["cnn", "mlp:hidden=6", "mnist_cnn"])
def test_a_network_with_a_view_is_the_network_on_masked_images(spec):
    shape, spec = (1, 28, 28), Spec.of(spec)
    whole, part = (models.build(each, 4, shape, 0).eval() for each in (spec, spec.replace(view="right")))
    x = torch.randn(3, *shape)
    masked = x.clone()
    masked[..., :14] = 0
    assert torch.equal(part(x), whole(masked))
    assert not torch.equal(part(x), whole(x))
    assert [name for name, _ in part.named_modules()] == [name for name, _ in whole.named_modules()]
    assert part.state_dict().keys() == whole.state_dict().keys()
    assert dict(part.named_buffers()).keys() - dict(whole.named_buffers()).keys() == {MASK}


@pytest.mark.parametrize("views", [("left", "right"), ("left", "left"), ("quarter1", "channel0")], ids=str)
def test_networks_of_other_views_run_as_one_stack(views):
    nets = [models.build(f"cnn:view={view}", 4, (2, 8, 8), seed).double() for seed, view in enumerate(views)]
    x = torch.randn(6, 2, 8, 8, dtype=torch.float64)
    loop, stack = Cohort(nets), Cohort(nets, execute="stack")
    assert len(stack.every_group) == 1
    torch.testing.assert_close(stack(x).logits, loop(x).logits)
    for peer, net in enumerate(nets):
        assert torch.equal(stack.peer_state(peer)[MASK], net.get_buffer(MASK))
        assert torch.equal(stack.network(peer).get_buffer(MASK), net.get_buffer(MASK))
    frozen = stack.frozen()
    torch.testing.assert_close(frozen(x).logits, torch.stack([net.eval()(x) for net in nets]), rtol=1e-3, atol=1e-3)


def test_a_network_with_a_view_and_one_without_are_not_stacked():
    nets = [models.build("cnn:view=left", 4, (2, 8, 8), 0), models.build("cnn", 4, (2, 8, 8), 1)]
    assert len(Cohort(nets, execute="stack").every_group) == 2


@pytest.mark.parametrize("view", ["", ",view=right"])
def test_a_start_is_taken_whatever_its_view_was(tmp_path, view):
    run = Run(models=("cnn:width=4,view=left",), method="alone", peers=1, labels=60, batch=20, epochs=1, execute="loop")
    list(train(run, tmp_path))
    net = network(f"cnn:width=4{view},start={tmp_path}", load("digits"))
    for name, tensor in restored(tmp_path).cohort.network(0).state_dict().items():
        assert torch.equal(net.state_dict()[name], tensor)
    if view:
        assert torch.equal(net.get_buffer(MASK), visible("a net", "right", (1, 8, 8)))


def test_branches_of_a_trunk_cannot_have_a_view():
    nets = [models.build("cnn:view=left", 4, (2, 8, 8), seed) for seed in range(2)]
    with pytest.raises(ValueError, match="branch_at='stage3': a hook before the whole network, such as that of view="):
        Cohort(nets, branch_at="stage3")


def own(classes, shape, view="mine"):
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, classes))
    net.said = view
    return net


def test_an_option_of_that_name_of_your_own_network_stays_yours():
    assert models.build(f"{__name__}:own,view=left", 3, (1, 2, 2)).said == "left"


def test_what_a_view_cannot_be_is_said():
    with pytest.raises(ValueError, match="no view of model 'cnn' is called 'lefft': did you mean 'left'"):
        models.build("cnn:view=lefft", 4, (1, 8, 8))
    with pytest.raises(ValueError, match="no view of model 'cnn' is called 'channel1'"):
        models.build("cnn:view=channel1", 4, (1, 8, 8))
    with pytest.raises(ValueError, match=r"model 'bigru': view=left is a part of an image \(C, H, W\)"):
        models.build("bigru:view=left", 4, (20,), known={"vocabulary": 50})
    with pytest.raises(ValueError, match=r"view=left shows nothing of an image of shape \(1, 8, 1\)"):
        visible("a net", "left", (1, 8, 1))
