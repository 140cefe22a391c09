"""Methods that compare features beside plain modules: between peers, unlike peers, and from wider teachers."""

import torch

import naive
from codistill.batch import Batch
from codistill.cohort import Cohort
from codistill.methods import get
from codistill.training.build import repeat_graphs
from codistill.training.teachers import teacher_networks
from methods.three_steps import check, teacher_folder, training_of
from naive_features import walk

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
    from codistill import models

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


__all__ = ["UNLIKE", "between_peers", "check_gradients", "from_teachers", "loss_of", "small", "wide_teachers"]
