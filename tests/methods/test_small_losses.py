"""Selection by small losses: Co-teaching, one network's own, and JoCoR, beside plain loops over samples."""

import pytest
import torch

import naive
from codistill.batch import Batch
from codistill.methods import get
from methods.references import check, check_seeds, cohort_of, draw, leaves, same, training_of, view

Y = torch.tensor([0, 2, 1, 2, 0, 1, 1, 2])


def losses_of(z, y):
    """Of each sample."""
    return [naive.label_loss(z[[b]], y[[b]]) for b in range(len(y))]


def least(losses, part):
    """Numbers of the samples of least loss."""
    order = sorted(range(len(losses)), key=lambda b: losses[b].item())
    return order[: max(1, int(part * len(losses) + 1e-6))]


def part_of(rate, ramp, progress):
    return 1 - rate * (min(1.0, progress / ramp) if ramp else 1.0)


def coteaching(z, y, part, judge):
    """Of each network, the mean over what its judge keeps."""
    losses = [losses_of(one, y) for one in z]
    chosen = [least(each, part) for each in losses]
    return [sum(losses[i][b] for b in chosen[judge(i)]) / len(chosen[judge(i)]) for i in range(len(z))]


def jocor(z, y, part, a):
    """Of each network, its terms over what all keep."""
    peers = range(len(z))
    losses = [losses_of(one, y) for one in z]

    def apart(p, q, b):
        return naive.softmax_kl(p[[b]], q[[b]]) + naive.softmax_kl(q[[b]], p[[b]])

    joint = [
        (1 - a) * sum(losses[i][b] for i in peers)
        + a * sum(apart(z[i], z[j], b) for i in peers for j in peers if i < j) / (len(z) - 1)
        for b in range(len(y))
    ]
    chosen = least(joint, part)
    return [
        {
            "task": (1 - a) * sum(losses[i][b] for b in chosen) / len(chosen),
            "mimic": a
            * sum(apart(z[i], z[j].detach(), b) for b in chosen for j in peers if j != i)
            / len(chosen)
            / (len(z) - 1),
        }
        for i in peers
    ]


JUDGES = {"coteaching": lambda i: (i + 1) % 3, "selfselect": lambda i: i}


@pytest.mark.parametrize("name", ["coteaching", "selfselect"])
@pytest.mark.parametrize(
    ("rate", "ramp", "progress"), [(0.4, 0.5, 0.25), (0.4, 0.0, 0.0), (0.99, 0.1, 1.0), (0.0, 0.1, 0.5)]
)
def test_values_and_gradients_of_chosen_samples(name, rate, ramp, progress):
    z = draw(3, 1, 8, 3)
    cohort, plain = cohort_of(z), leaves(z)
    each = coteaching([one[0] for one in plain], Y, part_of(rate, ramp, progress), JUDGES[name])
    terms = get(name, rate=rate, ramp=ramp)(cohort, Batch(view(0), Y), progress)
    same(terms, {"task": each}, cohort, plain)


@pytest.mark.parametrize("agreement", [0.9, 0.5, 0.0])
@pytest.mark.parametrize("peers", [2, 3])
def test_values_and_gradients_of_samples_chosen_together(peers, agreement):
    z = draw(peers, 1, 8, 3)
    cohort, plain = cohort_of(z), leaves(z)
    each = jocor([one[0] for one in plain], Y, 0.5, agreement)
    terms = get("jocor", rate=0.5, ramp=0.0, agreement=agreement)(cohort, Batch(view(0), Y), 0.3)
    same(terms, {name: [one[name] for one in each] for name in each[0]}, cohort, plain)


def test_one_loss_of_both_peers_undetached_is_jocor_s():
    """The released code minimises one joint loss through which both networks' gradients go."""
    z = draw(2, 1, 8, 3)
    cohort, plain = cohort_of(z), leaves(z)
    terms = get("jocor", rate=0.25, ramp=0.0, agreement=0.7)(cohort, Batch(view(0), Y))
    sum(term.sum() for term in terms.values()).backward()
    p, q = (one[0] for one in plain)
    each = [
        0.3 * (a + b) + 0.7 * (naive.softmax_kl(p[[n]], q[[n]]) + naive.softmax_kl(q[[n]], p[[n]]))
        for n, (a, b) in enumerate(zip(losses_of(p, Y), losses_of(q, Y), strict=True))
    ]
    chosen = least(each, 0.75)
    (sum(each[n] for n in chosen) / len(chosen)).backward()
    for i, leaf in enumerate(plain):
        torch.testing.assert_close(cohort.network(i).z.grad, leaf.grad)


@pytest.mark.parametrize("execute", ["loop", "stack"])
@pytest.mark.parametrize("name", ["coteaching", "selfselect", "jocor"])
def test_three_steps(name, execute):
    def loss(nets, batch, progress, method):
        z, part = [net(batch.x) for net in nets], part_of(0.3, 0.5, progress)
        if name == "jocor":
            return sum(sum(each.values()) for each in jocor(z, batch.y, part, 0.9))
        return sum(coteaching(z, batch.y, part, JUDGES[name]))

    check(training_of(f"{name}:rate=0.3,ramp=0.5", execute=execute), loss)


@pytest.mark.parametrize("name", ["coteaching", "selfselect", "jocor"])
def test_two_seeds_in_one_fleet_are_two_runs(name):
    check_seeds(f"{name}:rate=0.3,ramp=0", execute="stack")


def test_selection_leaves_out_wrong_labels():
    """Networks that are sure of the right classes do not learn from labels that were changed."""
    z = 9.0 * torch.nn.functional.one_hot(Y, 3).double().repeat(2, 1, 1, 1)
    wrong = Y.clone()
    wrong[:2] = (wrong[:2] + 1) % 3
    for name in ("coteaching", "selfselect", "jocor"):
        cohort = cohort_of(z + 0.01 * draw(2, 1, 8, 3))
        terms = get(name, rate=0.25, ramp=0.0)(cohort, Batch(view(0), wrong))
        assert terms["task"].max() < 0.01
        assert get(name, rate=0.0)(cohort, Batch(view(0), wrong))["task"].min() > (0.2 if name == "jocor" else 2)
