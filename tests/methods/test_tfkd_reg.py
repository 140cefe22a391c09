"""Teacher-free distillation from a virtual teacher."""

import math

import pytest
import torch

import naive
from codistill.batch import Batch
from codistill.methods import get
from codistill.methods.tfkd_reg import virtual
from methods.references import check, check_seeds, cohort_of, draw, leaves, same, training_of, view


def target(label, classes, correct=0.99, temperature=20.0):
    """The virtual teacher's posterior, softened as if it were logits."""
    d = [correct if c == int(label) else (1 - correct) / (classes - 1) for c in range(classes)]
    e = [math.exp(value / temperature) for value in d]
    return torch.tensor([value / sum(e) for value in e], dtype=torch.float64)


def terms_of(z, y, alpha=0.1, temperature=20.0, multiplier=100.0, correct=0.99):
    """By term, of one network."""
    total = 0.0
    for row, label in zip(z, y, strict=True):
        q, p = target(label, len(row), correct, temperature), naive.softmax(row)
        total = total + sum(a * (torch.log(a) - torch.log(b)) for a, b in zip(q, p, strict=True))
    mimic = alpha * multiplier / 100 * total / len(z)
    return {"task": (1 - alpha) * naive.label_loss(z, y), "mimic": mimic}


@pytest.mark.parametrize("options", [{}, {"alpha": 0.95, "temperature": 40.0, "multiplier": 1.0, "correct": 0.9}])
@pytest.mark.parametrize("classes", [10, 100])
def test_values_and_gradients(options, classes):
    z, y = draw(3, 1, 4, classes), torch.tensor([0, 2, 9, 2])
    cohort, plain = cohort_of(z), leaves(z)
    each = [terms_of(own[0], y, *options.values()) for own in plain]
    terms = get("tfkd_reg", **options)(cohort, Batch(view(0), y))
    same(terms, {name: [one[name] for one in each] for name in each[0]}, cohort, plain)


@pytest.mark.parametrize(("classes", "at_label"), [(10, 0.1045), (100, 0.0105)])
def test_the_virtual_teacher_is_nearly_uniform(classes, at_label):
    q = virtual(torch.arange(classes), torch.zeros(classes, classes, dtype=torch.float64), 0.99, 20.0)
    torch.testing.assert_close(q.sum(1), torch.ones(classes, dtype=torch.float64))
    assert torch.equal(q.argmax(1), torch.arange(classes))
    assert q.diagonal().tolist() == pytest.approx([at_label] * classes, abs=5e-5)
    assert torch.equal(q[0], target(0, classes)) or torch.allclose(q[0], target(0, classes), rtol=1e-12)


def test_at_the_default_multiplier_it_is_the_authors_loss_of_a_hundred_classes():
    z, y = draw(1, 1, 4, 100), torch.tensor([0, 2, 9, 2])
    found = get("tfkd_reg")(cohort_of(z), Batch(view(0), y))["mimic"]
    q = torch.stack([target(label, 100) for label in y])
    code = torch.nn.functional.kl_div(z[0, 0].log_softmax(-1), q, reduction="none").mean() * 100
    torch.testing.assert_close(found, 0.1 * code.reshape(1))


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_three_steps(execute):
    def loss(nets, batch, progress, method):
        return sum(sum(terms_of(net(batch.x), batch.y).values()) for net in nets)

    check(training_of("tfkd_reg", execute=execute), loss)


def test_two_seeds_in_one_fleet_are_two_runs():
    check_seeds("tfkd_reg", execute="stack")


def test_an_unlabelled_or_masked_sample_has_no_virtual_teacher():
    cohort = cohort_of(draw(1, 1, 4, 3))
    batch = Batch(view(0), torch.tensor([0, -1, 1, 2]), mask=torch.tensor([1, 1, 0, 1]))
    terms = get("tfkd_reg")(cohort, batch)
    sum(terms.values()).sum().backward()
    assert cohort.network(0).z.grad[0].any(-1).tolist() == [True, False, False, True]
    kept = draw(1, 1, 4, 3)[:, :, [0, 3]]
    torch.testing.assert_close(terms, get("tfkd_reg")(cohort_of(kept), Batch(view(0), torch.tensor([0, 2]))))


def test_tokens_each_have_a_label():
    z, y = draw(2, 1, 4, 5, 3), torch.randint(3, (4, 5), generator=torch.Generator().manual_seed(0))
    found = get("tfkd_reg")(cohort_of(z), Batch(view(0), y, task="tokens"))
    expected = [terms_of(one[0].reshape(20, 3), y.reshape(20))["mimic"] for one in z]
    torch.testing.assert_close(found["mimic"], torch.stack(expected))


def test_what_cannot_be_is_said():
    for option in ("alpha", "correct"):
        with pytest.raises(ValueError, match=f"{option}=2: give a number from 0 to 1"):
            get(f"tfkd_reg:{option}=2")
    with pytest.raises(ValueError, match="temperature=0: give a number at least 1e-06"):
        get("tfkd_reg:temperature=0")
    with pytest.raises(ValueError, match="multiplier=-1: give a number at least 0"):
        get("tfkd_reg:multiplier=-1")
    with pytest.raises(ValueError, match="task='binary': method 'tfkd_reg' is for task='classes' or 'tokens'"):
        get("tfkd_reg")(cohort_of(draw(1, 1, 4, 1)), Batch(view(0), torch.tensor([0, 1, 1, 0]), task="binary"))
    with pytest.raises(ValueError, match="learns nothing from unlabelled=10 samples"):
        training_of("tfkd_reg", unlabelled=10)
