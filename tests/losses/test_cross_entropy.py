import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

import naive
from codistill.losses.labels import confidence, cross_entropy

PEERS, BATCH, CLASSES, LENGTH = 3, 5, 4, 2
TASKS = ["classes", "binary", "multilabel", "tokens"]


def drawn(seed, *shape):
    return 2.0 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def example(task, seed=0):
    """Logits of three peers and labels for all of them."""
    g = torch.Generator().manual_seed(seed)
    shape = {"classes": (CLASSES,), "multilabel": (CLASSES,), "binary": (1,), "tokens": (LENGTH, CLASSES)}[task]
    labels = {"classes": (BATCH,), "multilabel": (BATCH, CLASSES), "binary": (BATCH,), "tokens": (BATCH, LENGTH)}[task]
    high = CLASSES if task in ("classes", "tokens") else 2
    return drawn(seed, PEERS, BATCH, *shape).requires_grad_(), torch.randint(high, labels, generator=g)


def mask_for(task, peers=False):
    shape = (BATCH, LENGTH) if task == "tokens" else (BATCH,)
    shape = (PEERS, *shape) if peers else shape
    return torch.rand(shape, generator=torch.Generator().manual_seed(9)) < 0.6


def check(z, y, task, **settings):
    """Against one peer at a time, values and gradients; y and mask may have a leading peer dim."""
    mask = settings.pop("mask", None)
    inner = {"classes": 1, "binary": 1, "multilabel": 2, "tokens": 2}[task]
    got = cross_entropy(z, y, task=task, mask=mask, **settings)
    expected = []
    for i, own in enumerate(z):
        own_mask = mask if mask is None or mask.dim() == (2 if task == "tokens" else 1) else mask[i]
        own_y = y if y.dim() == inner else y[i]
        expected.append(naive.task_loss(own, own_y, task, mask=own_mask, **settings))
    expected = torch.stack(expected)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(*(naive.gradients(v, z)[0] for v in (got, expected)), rtol=1e-10, atol=1e-12)
    assert got.shape == (len(z),)
    return got


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("task", TASKS)
def test_values_and_gradients_are_the_naive_ones(task, smoothing):
    z, y = example(task)
    check(z, y, task, smoothing=smoothing)


@pytest.mark.parametrize("task", TASKS)
def test_samples_without_a_label_are_left_out(task):
    z, y = example(task)
    y[1] = -1
    if task == "tokens":
        y[3, 1] = -1
    got = check(z, y, task, smoothing=0.2)
    other = z.detach().clone()
    other[:, 1] = 7.0 * drawn(5, *other[:, 1].shape)
    torch.testing.assert_close(got, cross_entropy(other, y, task=task, smoothing=0.2))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("own", [False, True])
def test_the_mask_leaves_samples_out_as_a_missing_label_does(task, own):
    z, y = example(task)
    y[0] = -1
    check(z, y, task, mask=mask_for(task, peers=own))


@pytest.mark.parametrize("task", TASKS)
def test_peers_may_have_their_own_labels(task):
    z, _ = example(task)
    y = torch.stack([example(task, seed=s)[1] for s in (1, 2, 3)])
    y[2] = -1
    got = check(z, y, task)
    assert got[2] == 0.0
    assert got[:2].min() > 0.0


def test_a_multilabel_sample_with_one_label_missing_is_left_out():
    z, y = example("multilabel")
    y[2, 1] = -1
    check(z, y, "multilabel")


@pytest.mark.parametrize("task", TASKS)
def test_without_a_label_the_loss_and_its_gradient_are_zero(task):
    z, y = example(task)
    loss = cross_entropy(z, torch.full_like(y, -1), task=task, smoothing=0.1)
    assert loss.tolist() == [0.0] * PEERS
    assert naive.gradients(loss, z)[0].abs().max() == 0.0


def test_it_is_the_schedule_of_torch_where_torch_has_it():
    z, y = example("classes")
    y[0] = -1
    expected = torch.stack([torch.nn.functional.cross_entropy(p, y, ignore_index=-1, label_smoothing=0.3) for p in z])
    torch.testing.assert_close(cross_entropy(z, y, smoothing=0.3), expected)
    z, y = example("multilabel")
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    expected = torch.stack([bce(p, y.double(), reduction="none").sum(-1).mean() for p in z])
    torch.testing.assert_close(cross_entropy(z, y, task="multilabel"), expected)
    torch.testing.assert_close(cross_entropy(z, y.float(), task="multilabel"), expected)


def test_one_logit_is_the_two_class_softmax_over_zero_and_it():
    z, y = example("binary")
    two = torch.cat([torch.zeros_like(z), z], dim=-1)
    torch.testing.assert_close(
        cross_entropy(z, y, task="binary", smoothing=0.2), cross_entropy(two, y, task="classes", smoothing=0.2)
    )
    torch.testing.assert_close(confidence(z, task="binary"), confidence(two))


def test_one_logit_as_classes_is_refused():
    with pytest.raises(ValueError, match="task='classes' with one logit per sample: say task='binary'"):
        cross_entropy(torch.zeros(2, 3, 1), torch.zeros(3).long())


@given(seed=st.integers(0, 10**6), smoothing=st.floats(0.0, 1.0))
@settings(derandomize=True, deadline=None, max_examples=25)
def test_smoothing_lies_on_the_line_from_the_label_to_the_uniform_distribution(seed, smoothing):
    z, y = example("classes", seed)
    none, some, whole = (cross_entropy(z, y, smoothing=s) for s in (0.0, smoothing, 1.0))
    torch.testing.assert_close(some, (1 - smoothing) * none + smoothing * whole)
    assert (whole >= math.log(CLASSES) - 1e-12).all()  # KL(u || p) >= 0


@pytest.mark.parametrize("task", TASKS)
def test_the_confidence_penalty_is_the_negative_entropy(task):
    z, _ = example(task)
    got = confidence(z, task=task)
    rows = z.reshape(PEERS, -1, z.shape[-1])
    expected = []
    for peer in rows:
        each = [
            -naive.entropy(naive.softmax(row))
            if task in ("classes", "tokens")
            else -sum(naive.entropy(naive.bernoulli(one)) for one in row)
            for row in peer
        ]
        expected.append(sum(each) / len(each))
    expected = torch.stack(expected)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(*(naive.gradients(v, z)[0] for v in (got, expected)))
    assert got.max() < 0.0


def test_the_confidence_penalty_heeds_the_mask_and_is_lowest_for_the_uniform_posterior():
    z, _ = example("classes")
    mask = mask_for("classes", peers=True)
    got = confidence(z, mask=mask)
    for i in range(PEERS):
        torch.testing.assert_close(got[i], confidence(z[i : i + 1, mask[i]])[0])
    torch.testing.assert_close(confidence(torch.zeros(1, 2, 8)), torch.tensor([-math.log(8)]))
    assert (got > -math.log(CLASSES)).all()
