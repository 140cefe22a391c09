"""The options of imitation through `train`, and private labels: three steps beside plain loops over samples."""

import copy
import math

import pytest
import torch

import naive
from codistill.batch import PerPeer
from codistill.discovery import available
from codistill.methods import Imitation, find
from codistill.spec import Spec
from codistill.training.initial_weights import teacher_networks
from fleet_batches import batches_of
from methods.references import check, check_seeds, teacher_folder, training_of
from methods.test_mmt import Followers

COMMON = {"unlabelled": 10, "batch": 10}
EQUAL = {**COMMON, "shards": "equal"}
CLASSES = {**COMMON, "shards": "classes:per=5"}
UNLABELLED_HARD = "on=unlabelled,target=hard"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return teacher_folder(tmp_path_factory.mktemp("teacher"), peers=2)


# What is imitated, sample by sample ----------------------------------------------------------------------------------


def made(q, target, temperature):
    """The probabilities that are imitated, of one row of logits."""
    kind, _, value = target.partition(":")
    if kind == "hard":
        return torch.nn.functional.one_hot(q.argmax(), len(q)).to(q.dtype)
    return naive.softmax(q, temperature * (float(value) if kind == "sharpened" else 1.0))


def divergence(q, z, temperature):
    p = naive.softmax(z, temperature)
    return temperature**2 * sum(q[c] * (q[c].log() - p[c].log()) for c in range(len(q)) if q[c] > 0)


def keeps(select, mean, own, y, samples, progress):
    """The samples that count, of those that are compared."""
    kind, _, rest = select.partition(":")
    if kind == "confident":
        return [b for b in samples if mean[b].max() >= float(rest)]
    if kind == "agree":
        return [b for b in samples if mean[b].argmax() == own[b].argmax()]
    if kind == "small_loss":
        rate, over = (float(part.partition("=")[2]) for part in rest.split(";"))
        labelled = [b for b in samples if y[b] >= 0]
        part = 1 - rate * min(progress / over, 1)
        return sorted(labelled, key=lambda b: -mean[b, y[b]].item())[: max(1, int(part * len(labelled) + 1e-6))]
    return samples


class Imitated:
    """The mean over x in ON of s(x) T^2 sum_j w_j KL(target(q_j) || p), of one student."""

    def __init__(self, on="all", target="soft", select="all", burn_in=0.0, ramp=0.0, private=False, **_):
        self.on = "unlabelled" if private and on == "all" else on
        self.target, self.select, self.burn_in, self.ramp = target, select, float(burn_in), float(ramp)
        self.kept = []

    @classmethod
    def of(cls, spec, private):
        return cls(private=private, **Spec.of(spec).options)

    def __call__(self, sources, z, y, progress, *, temperature=1.0, weights=None):
        """From logits [B, C] of all sources; weights 1/Q where nothing is said."""
        weights = weights or [1 / len(sources)] * len(sources)
        samples = [b for b in range(len(y)) if self.on == "all" or (y[b] >= 0) == (self.on == "labelled")]
        mean = sum(w * q.softmax(-1) for w, q in zip(weights, sources, strict=True)).detach() / sum(weights)
        kept = keeps(self.select, mean, z.detach(), y, samples, progress)
        self.kept.append(len(kept) / len(samples))
        total = 0.0
        for b in kept:
            for weight, q in zip(weights, sources, strict=True):
                total = total + weight * divergence(made(q[b], self.target, temperature), z[b], temperature)
        if progress < self.burn_in:
            return 0.0
        risen = math.exp(-5 * (1 - min((progress - self.burn_in) / self.ramp, 1)) ** 2) if self.ramp else 1.0
        return risen * total / len(samples)


# The methods, each of any number of peers, with labels in common or of their own --------------------------------------


def inputs_of(batch, peers):
    """Inputs and labels of each peer."""
    x = list(batch.x.inputs) if isinstance(batch.x, PerPeer) else [batch.x] * peers
    return x, list(batch.y) if batch.y.dim() == 2 else [batch.y] * peers


def task(z, y):
    return naive.label_loss(z[y >= 0], y[y >= 0])


def others(z, i):
    return [one.detach() for j, one in enumerate(z) if j != i]


def dml(mimic, **_):
    def loss(nets, batch, progress, method):
        x, y = inputs_of(batch, len(nets))
        z = [net(own) for net, own in zip(nets, x, strict=True)]
        return sum(task(z[i], y[i]) + mimic(others(z, i), z[i], y[i], progress) for i in range(len(z)))

    return loss


def dml_ensemble(mimic, **_):
    def loss(nets, batch, progress, method):
        x, y = inputs_of(batch, len(nets))
        z = [net(own) for net, own in zip(nets, x, strict=True)]
        total = 0.0
        for i in range(len(z)):
            teacher = sum(one.softmax(-1) for one in others(z, i)) / (len(z) - 1)
            total = total + task(z[i], y[i]) + mimic([teacher.log()], z[i], y[i], progress)
        return total

    return loss


def cml(mimic, teachers, **_):
    def loss(nets, batch, progress, method):
        x, y = inputs_of(batch, len(nets))
        z = [net(own) for net, own in zip(nets, x, strict=True)]
        total = 0.0
        for i in range(len(z)):
            taught = [teacher(x[i]).detach() for teacher in teachers]
            total = total + task(z[i], y[i]) + mimic(others(z, i), z[i], y[i], progress)
            total = total + mimic(taught, z[i], y[i], progress)
        return total

    return loss


def kd(mimic, teachers, **_):
    def loss(nets, batch, progress, method):
        x, y = inputs_of(batch, len(nets))
        total = 0.0
        for i, net in enumerate(nets):
            taught, z = [teacher(x[i]).detach() for teacher in teachers], net(x[i])
            total = total + 0.1 * task(z, y[i]) + 0.9 * mimic(taught, z, y[i], progress, temperature=4.0)
        return total

    return loss


def ktg(mimic, **_):
    def loss(nets, batch, progress, method):
        x, y = inputs_of(batch, len(nets))
        z = [net(own) for net, own in zip(nets, x, strict=True)]
        weights = [1.0] * (len(nets) - 1)
        return sum(task(z[i], y[i]) + mimic(others(z, i), z[i], y[i], progress, weights=weights) for i in range(len(z)))

    return loss


def mmt(mimic, followers, **_):
    def loss(nets, batch, progress, method):
        x, y = inputs_of(batch, len(nets))
        past, total = followers(nets, x), 0.0
        for i, net in enumerate(nets):
            z = net(x[i])
            total = total + 0.5 * task(z, y[i]) + 0.5 * mimic(others(past, i), z, y[i], progress)
        return total

    return loss


def okddip(mimic, **_):
    def loss(nets, batch, progress, method):
        x, y = inputs_of(batch, len(nets))
        h = [net[:-1](own) for net, own in zip(nets, x, strict=True)]
        z = [net[-1](own) for net, own in zip(nets, h, strict=True)]
        group = [one.detach() for one in z[:-1]]
        total = 0.0
        for i in range(len(z)):
            if i == len(group):
                q = sum(group) / len(group)
            else:
                scores = torch.stack([((h[i] @ method.query.T) * (own @ method.key.T)).sum(-1) for own in h[:-1]])
                q = sum(a[:, None] * own for a, own in zip(scores.softmax(0), group, strict=True))
            total = total + task(z[i], y[i]) + mimic([q], z[i], y[i], progress, temperature=3.0)
        return total

    return loss


LOSSES = {loss.__name__: loss for loss in (dml, dml_ensemble, cml, kd, ktg, mmt, okddip)}
OPTIONS = {"mmt": "own_views=false", "okddip": "ramp=0", "cml": "teacher=t", "kd": "teacher=t"}


def compare(name, options, folder, settings, execute):
    """Three steps; returns the reference, which knows how much was kept."""
    spec = f"{name}:" + ",".join(filter(None, (OPTIONS.get(name), options)))
    training = training_of(spec, execute=execute, teacher=folder if "teacher" in spec else None, **settings)
    fleet = training.fleet
    mimic, followers = Imitated.of(spec, fleet.run.private), Followers(0.999)
    teachers = [net.double().eval() for net in teacher_networks(folder, fleet.run, fleet.dataset)]
    loss = LOSSES[name](mimic, teachers=teachers, followers=followers)
    check(training, loss, after=followers.follow if name == "mmt" else None)
    return mimic


# Options --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("execute", ["loop", "stack"])
@pytest.mark.parametrize(
    "options",
    [
        "on=labelled",
        "on=unlabelled",
        "target=hard",
        "target=sharpened:0.5",
        "select=agree",
        "select=confident:0.15",
        "on=labelled,select=small_loss:rate=0.4;ramp=0.2",
        "burn_in=0.05,ramp=0.1",
        "on=unlabelled,target=hard,select=confident:0.15",
    ],
)
def test_three_steps_of_dml(options, execute, folder):
    mimic = compare("dml", options, folder, COMMON, execute)
    if "select" in options:
        assert 0 < sum(mimic.kept) / len(mimic.kept) < 1


@pytest.mark.parametrize("execute", ["loop", "stack"])
@pytest.mark.parametrize("name", [name for name in LOSSES if name != "dml"])
def test_three_steps_from_hard_targets_of_unlabelled_samples(name, execute, folder):
    compare(name, UNLABELLED_HARD, folder, COMMON, execute)


@pytest.mark.parametrize("options", ["target=hard,on=unlabelled", "select=agree"])
@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_two_steps_in_turn(execute, options):
    training = training_of(f"dml:{options}", execute=execute, update="in_turn", **COMMON)
    fleet, mimic = training.fleet, Imitated.of(f"dml:{options}", False)
    nets = [copy.deepcopy(fleet.cohort.network(i)).train() for i in range(3)]
    optimizers = naive.sgd(nets, 0.1)
    for step in range(2):
        (batch,) = batches_of(fleet, 0, step)
        latest = [naive.without_statistics(net, batch.x) for net in nets]
        for i, (net, optimizer) in enumerate(zip(nets, optimizers, strict=True)):
            z = net(batch.x)
            loss = task(z, batch.y) + mimic(others(latest, i), z, batch.y, step / fleet.total)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            latest[i] = naive.without_statistics(net, batch.x)
        training.advance()
    for i, net in enumerate(nets):
        torch.testing.assert_close(fleet.cohort.peer_state(i), dict(net.state_dict()), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("settings", [COMMON, EQUAL], ids=["common", "private"])
@pytest.mark.parametrize(
    "spec",
    [
        "dml:on=unlabelled,target=hard,select=agree,ramp=0.5",
        "dml_ensemble:target=sharpened:0.5,select=confident:0.15",
        "kd:teacher=none,target=hard",
        "cml:teacher=none,on=unlabelled",
        "ktg:target=hard",
        "mmt:own_views=false,target=hard,on=unlabelled",
        "okddip:select=agree",
        "kd:teacher=TEACHER",
        "pseudo:select=confident:0.15",
        "mean_teacher:on=unlabelled",
    ],
)
def test_two_seeds_in_one_fleet_are_two_runs(spec, settings, folder):
    check_seeds(spec.replace("TEACHER", str(folder)), execute="stack", **settings)


# Private labels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [EQUAL, CLASSES], ids=["equal", "classes"])
@pytest.mark.parametrize("execute", ["loop", "stack"])
@pytest.mark.parametrize("name", LOSSES)
def test_three_steps_with_private_labels(name, execute, settings, folder):
    compare(name, "", folder, settings, execute)


PRIVATE = [
    "dml",
    "dml:target=hard,select=agree",
    "dml_ensemble:mean=geometric",
    "cml:teacher=t",
    "kd:teacher=t",
    "logits:teacher=t",
    "lskd:teacher=t",
    "ktg",
    "mmt:own_views=false",
    "okddip",
    "codistillation:exchange=logits,burn_in=0",
    "codistillation:exchange=posteriors,exchange_every=2,burn_in=0",
]


@pytest.mark.parametrize("spec", PRIVATE)
def test_labelled_samples_of_one_s_own_have_no_part_in_what_peers_imitate(spec, folder):
    settings = {"models": ("mlp:hidden=9",), "unlabelled": 320}  # no batch statistics; the pool goes round in 3 steps
    training = training_of(spec, teacher=folder if "teacher" in spec else None, **{**EQUAL, **settings})
    for _ in range(4):
        training.advance()
    fleet = training.fleet
    (member,), (batch,) = fleet.members, batches_of(fleet, 0, 4)
    labelled = batch.y >= 0
    x = batch.x.inputs.clone()
    x[labelled] = torch.randn(
        int(labelled.sum()), *x.shape[2:], dtype=x.dtype, generator=torch.Generator().manual_seed(0)
    )
    other = copy.copy(batch)
    vars(other).update(x=PerPeer(x), y=torch.where(labelled, (batch.y + 1) % 10, batch.y))
    with torch.no_grad():
        one, two = (member.method(fleet.cohort, each, 0.5) for each in (batch, other))
    assert (one["task"] != two["task"]).all()
    assert one["mimic"].any()
    for name in one.keys() - {"task"}:
        torch.testing.assert_close(one[name], two[name], rtol=1e-12, atol=0.0)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("dml:on=labelled", "on='labelled': peers have labelled samples of their own.*set on=unlabelled"),
        ("dml:select=small_loss", "select=small_loss judges by labels.*set select to all, agree or confident:0.95"),
        ("ktg:gates=correct", "gates=correct judges by labels.*set another"),
        ("jocor", "shards='equal': peers of 'jocor' compare what they make of samples that all have"),
        ("coteaching", "shards='equal': peers of 'coteaching' compare what they make of samples that all have"),
    ],
)
def test_what_private_labels_cannot_be_is_said_before_the_first_step(spec, message):
    unlabelled = {} if spec in ("jocor", "coteaching") else {"unlabelled": 10}
    with pytest.raises(ValueError, match=message):
        training_of(spec, shards="equal", batch=10, **unlabelled)


# Nothing is selected -------------------------------------------------------------------------------------------------


IMITATIONS = [name for name in available("codistill.methods") if issubclass(find(name), Imitation)]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", IMITATIONS)
def test_a_step_in_which_nothing_is_selected_is_a_step_without_imitation(name, precision):
    needs = find(name).needs
    settings = {"augment": ("crop:pad=1",)} if needs.augmentation else {}
    settings |= {"branch_at": "stage3"} if needs.branches else {"execute": "stack"}
    settings |= {"unlabelled": 10} if needs.unlabelled else {}
    spec = f"{name}:select=confident:1" + (",teacher=none" if needs.teacher else "")
    training = training_of(spec, precision=precision, **settings)
    (member,) = training.fleet.members
    for _ in range(2):
        (terms,) = training.advance()
        assert all(term.isfinite().all() for term in terms.values())
        assert not any(terms[term].any() for term in ("mimic", "pseudo", "past", "teacher") if term in terms)
    if name != "codistillation":  # in its burn-in
        assert not member.method.kept.any()
    assert all(p.isfinite().all() for i in range(3) for p in training.fleet.cohort.peer_state(i).values())
