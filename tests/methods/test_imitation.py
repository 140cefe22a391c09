"""Where, what of the others, and which samples: every option against plain loops."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from codistill.batch import Batch
from codistill.graph import blend, complete, star
from codistill.losses import divergences
from codistill.methods import Imitation
from codistill.methods.dml import DML

P, B, C = 3, 8, 5
KL = divergences.get("kl")


@pytest.fixture
def z() -> Tensor:
    return 2 * torch.randn(P, B, C, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def batch() -> Batch:
    return Batch(torch.zeros(B, 1), torch.tensor([0, 1, 2, -1, 4, -1, -1, 0]))


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(v) for v in row)
    return [math.exp(v) / total for v in row]


def naive(
    z: Tensor, which: Callable[[int], bool], target: Callable[[list[float]], list[float]], keep: Callable[..., bool]
) -> list[float]:
    """Of each peer, the mean over the samples of ON of s(x) times the mean over the others of KL(target_j || p_i)."""
    p = [[softmax(z[i, b].tolist()) for b in range(B)] for i in range(P)]
    losses = []
    for i in range(P):
        total = count = 0.0
        for b in range(B):
            if not which(b):
                continue
            count += 1
            others = [p[j][b] for j in range(P) if j != i]
            mean = [sum(q[c] for q in others) / len(others) for c in range(C)]
            if not keep(b, mean, p[i][b]):
                continue
            for q in map(target, others):
                total += sum(v * math.log(v / p[i][b][c]) for c, v in enumerate(q) if v > 0) / len(others)
        losses.append(total / count if count else 0.0)
    return losses


def ours(z: Tensor, batch: Batch, progress: float | None = None, **options: object) -> Tensor:
    return along(DML(**options), z, z.detach(), batch, progress)


def along(method: Imitation, z: Tensor, sources: Tensor, batch: Batch, progress: float | None = None) -> Tensor:
    return method.along(KL, students=z, sources=sources, of=batch, progress=progress)


def every(b: int) -> bool:
    return True


def kept(*_: object) -> bool:
    return True


def same(q: list[float]) -> list[float]:
    return q


def top(q: list[float]) -> int:
    return max(range(C), key=lambda c: q[c])


def one_hot(q: list[float]) -> list[float]:
    return [float(c == top(q)) for c in range(C)]


def squared(q: list[float]) -> list[float]:
    return [v**2 / sum(u**2 for u in q) for v in q]


@pytest.mark.parametrize("on", ["all", "labelled", "unlabelled"])
def test_where(z: Tensor, batch: Batch, on: str) -> None:
    def which(b: int) -> bool:
        return on == "all" or (int(batch.y[b]) >= 0) == (on == "labelled")

    assert ours(z, batch, on=on).tolist() == pytest.approx(naive(z, which, same, kept))


def two_and_the_rest(z: Tensor) -> list[float]:
    """Of each peer, the mean over samples and others of the KL between (q_a, q_b, rest), a and b the largest of q."""
    p = [[softmax(z[i, b].tolist()) for b in range(B)] for i in range(P)]
    losses = []
    for i in range(P):
        total = 0.0
        for b in range(B):
            for q in (p[j][b] for j in range(P) if j != i):
                chosen = sorted(range(C), key=lambda c, q=q: -q[c])[:2]
                pairs = [(q[c], p[i][b][c]) for c in chosen]
                pairs.append((1 - sum(u for u, _ in pairs), 1 - sum(v for _, v in pairs)))
                total += sum(u * math.log(u / v) for u, v in pairs) / (P - 1)
        losses.append(total / B)
    return losses


def test_the_two_largest_and_the_rest(z: Tensor, batch: Batch) -> None:
    assert ours(z, batch, target="top:2").tolist() == pytest.approx(two_and_the_rest(z))
    assert ours(z, batch, target="top:4").tolist() == pytest.approx(ours(z, batch).tolist())


@pytest.mark.parametrize(("target", "reference"), [("soft", same), ("hard", one_hot), ("sharpened:0.5", squared)])
def test_what(z: Tensor, batch: Batch, target: str, reference: Callable[[list[float]], list[float]]) -> None:
    assert ours(z, batch, target=target).tolist() == pytest.approx(naive(z, every, reference, kept))


def test_only_where_the_others_mean_is_confident(z: Tensor, batch: Batch) -> None:
    def keep(b: int, mean: list[float], own: list[float]) -> bool:
        return max(mean) >= 0.6

    values = naive(z, every, one_hot, keep)
    assert ours(z, batch, target="hard", select="confident:0.6").tolist() == pytest.approx(values)
    assert values != pytest.approx(naive(z, every, one_hot, kept))  # the threshold leaves something out


def test_only_where_the_others_choose_the_student_s_class(z: Tensor, batch: Batch) -> None:
    def keep(b: int, mean: list[float], own: list[float]) -> bool:
        return top(mean) == top(own)

    assert ours(z, batch, select="agree").tolist() == pytest.approx(naive(z, every, same, keep))


@pytest.mark.parametrize(("progress", "part"), [(0.0, 1.0), (0.1, 0.8), (0.2, 0.6), (0.9, 0.6), (None, 0.6)])
def test_only_where_the_others_loss_is_least(z: Tensor, batch: Batch, progress: float | None, part: float) -> None:
    p = z.softmax(-1)
    labelled = [b for b in range(B) if batch.y[b] >= 0]
    chosen = {}
    for i in range(P):
        mean = p[[j for j in range(P) if j != i]].mean(0)
        losses = sorted((-math.log(mean[b, batch.y[b]]), b) for b in labelled)
        chosen[i] = {b for _, b in losses[: int(part * len(labelled) + 1e-9)]}
    options = {"on": "labelled", "select": "small_loss:rate=0.4;ramp=0.2"}
    values = ours(z, batch, progress, **options)
    for i in range(P):

        def keep(b: int, *_: object, i: int = i) -> bool:
            return b in chosen[i]

        reference = naive(z, lambda b: int(batch.y[b]) >= 0, same, keep)[i]
        assert values[i].item() == pytest.approx(reference)


@pytest.mark.parametrize(
    ("progress", "rise"), [(0.0, 0.0), (0.29, 0.0), (0.3, math.exp(-5)), (0.4, math.exp(-1.25)), (0.5, 1.0), (1.0, 1.0)]
)
def test_when(z: Tensor, batch: Batch, progress: float, rise: float) -> None:
    """Nothing before the burn-in, then the sigmoid ramp."""
    value = ours(z, batch, progress, burn_in=0.3, ramp=0.2)
    assert torch.allclose(value, rise * ours(z, batch))


def test_one_target_for_each_is_judged_by_itself(z: Tensor, batch: Batch) -> None:
    """`imitate` of the others' mean posterior is `along` the graph, up to a constant: it has the same gradient."""
    for options in ({}, {"select": "confident:0.6"}, {"on": "unlabelled", "select": "agree"}):
        gradients = []
        for form in ("along", "imitate"):
            leaf = z.clone().requires_grad_()
            method = DML(**options)
            if form == "along":
                loss = along(method, leaf, z, batch)
            else:
                p = blend(complete(), logits=z)
                loss = method.imitate(KL, students=leaf, posteriors=p, of=batch, progress=None)
            (gradient,) = torch.autograd.grad(loss.sum(), leaf)
            gradients.append(gradient)
        assert torch.allclose(*gradients)


def test_the_logits_of_a_target_have_its_posterior(z: Tensor, batch: Batch) -> None:
    for target in ("soft", "hard", "sharpened:0.3"):
        kind = DML(target=target).target
        assert torch.allclose(kind.logits(z).softmax(-1), kind.posteriors(z.softmax(-1)))
        bernoulli = torch.stack([(-z).sigmoid(), z.sigmoid()], -1)
        assert torch.allclose(kind.logits(z, "multilabel").sigmoid(), kind.posteriors(bernoulli)[..., 1])


@pytest.mark.parametrize("task", ["multilabel", "binary", "tokens"])
def test_every_task_selects(task: str) -> None:
    torch.manual_seed(0)
    z = 3 * torch.randn(P, B, *{"multilabel": (C,), "binary": (1,), "tokens": (4, C)}[task])
    y = {"multilabel": torch.ones(B, C).long(), "binary": torch.ones(B).long(), "tokens": torch.ones(B, 4).long()}[task]
    batch = Batch(torch.zeros(B, 1), y, task=task)
    everything = ours(z, batch)
    for select in ("confident:0.7", "agree"):
        one_by_one = [ours(z[:, [b]], Batch(batch.x[[b]], y[[b]], task=task), select=select) for b in range(B)]
        assert torch.allclose(ours(z, batch, select=select), torch.stack(one_by_one).mean(0))
        assert (ours(z, batch, select=select) < everything).any()
    assert (ours(z, batch, select="small_loss:0.5") < everything).all()


def test_a_peer_that_keeps_nothing_gets_zero_and_no_nan(z: Tensor, batch: Batch) -> None:
    leaf = z.clone().requires_grad_()
    method = DML(select="confident:1", target="hard")
    loss = along(method, leaf, z, batch)
    loss.sum().backward()
    assert loss.tolist() == [0.0] * P
    assert leaf.grad is not None
    assert not leaf.grad.any()
    assert method.kept is not None
    assert method.kept.tolist() == [0.0] * P


def test_how_much_was_kept_is_counted_where_it_is_compared(z: Tensor, batch: Batch) -> None:
    method = DML(on="unlabelled", select="agree", graph=star())
    along(method, z, z, batch)
    p = z.softmax(-1)
    others = [(p[1] + p[2]) / 2, p[0], p[0]]
    unlabelled = batch.y < 0
    expected = [(p[i].argmax(-1) == others[i].argmax(-1))[unlabelled].double().mean().item() for i in range(P)]
    assert method.kept is not None
    assert method.kept.tolist() == pytest.approx(expected)


def test_private_labels_leave_the_unlabelled_samples(z: Tensor, batch: Batch) -> None:
    private = Batch(batch.x, batch.y.expand(P, B), private=True)
    assert torch.allclose(ours(z, private), ours(z, batch, on="unlabelled"))
    with pytest.raises(ValueError, match="on='labelled': peers have labelled samples of their own"):
        ours(z, private, on="labelled")
    with pytest.raises(
        ValueError, match="select=small_loss judges by labels, and the samples that peers have in common"
    ):
        ours(z, private, select="small_loss")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on": "labeled"}, "no on is called 'labeled': did you mean 'labelled'"),
        ({"target": "hrad"}, "no target is called 'hrad'.*did you mean 'hard'"),
        ({"target": "sharpened:0"}, "temperature=0: give a number above 0"),
        ({"select": "confidnt:0.9"}, "no selection is called 'confidnt'.*did you mean 'confident'"),
        ({"select": "confident:1.2"}, "threshold=1.2: give a number from 0 to 1"),
        ({"select": "small_loss:rate=2"}, "rate=2: give a number from 0 to 1"),
        ({"on": "unlabelled", "select": "small_loss"}, "judges by labels.*set on=labelled"),
        ({"target": "sharpened"}, "target 'sharpened' needs temperature: write .*sharpened:TEMPERATURE"),
        ({"target": "hard", "divergence": "reverse_kl"}, "target=hard: ReverseKL from one class.*set target to soft"),
        ({"target": "hard", "divergence": "symmetric_kl"}, "target=hard: SymmetricKL from one class alone is infinite"),
        ({"target": "hard", "divergence": "squared_logits"}, "target=hard: SquaredLogits from one class alone is inf"),
        ({"target": "top:0"}, "largest=0: give a whole number of at least 1"),
        (
            {"target": "top:3", "divergence": "squared_logits"},
            "target=top:3: SquaredLogits compares logits",
        ),
        ({"burn_in": 2}, "burn_in=2: give a number from 0 to 1"),
    ],
)
def test_invalid_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DML(**options)
