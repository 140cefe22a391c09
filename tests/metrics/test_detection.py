"""F1 and average precision against counting, and against torchmetrics where it is installed."""

import math

import pytest
import torch
from hypothesis import given, settings, strategies as st

from codistill.metrics.detection import f1, f1_labels, mean_average_precision


def counted(truth, got):
    tp = sum(t and f for t, f in zip(truth, got, strict=True))
    fp = sum(f and not t for t, f in zip(truth, got, strict=True))
    fn = sum(t and not f for t, f in zip(truth, got, strict=True))
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0


def precision_steps(truth, scores):
    """sum over thresholds of (R_n - R_{n-1}) P_n, each threshold by itself."""
    area, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        got = [s >= threshold for s in scores]
        tp = sum(t and f for t, f in zip(truth, got, strict=True))
        recall = tp / sum(truth)
        area += (recall - before) * tp / sum(got)
        before = recall
    return area


def drawn(seed, n=24, labels=4, peers=3):
    source = torch.Generator().manual_seed(seed)
    logits = torch.randn(peers, n, labels, generator=source, dtype=torch.float64)
    return logits, torch.randint(-1, 2, (n, labels), generator=source)


def test_f1_of_class_one_of_two():
    source = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(2, 3, 40, 2, generator=source), torch.randint(2, (40,), generator=source)
    got = f1(logits, labels)
    assert got.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            said = logits[i, j].argmax(1).bool().tolist()
            assert got[i, j].item() == pytest.approx(counted(labels.bool().tolist(), said))
    assert f1(torch.tensor([[1.0, 0.0]] * 3), torch.zeros(3, dtype=torch.long)).item() == 0.0  # 0 / 0
    with pytest.raises(ValueError, match="f1 is for 2 classes, the logits have 3: use f1_labels"):
        f1(torch.zeros(4, 3), torch.zeros(4, dtype=torch.long))


@settings(derandomize=True, deadline=None, max_examples=15)
@given(st.integers(0, 1000))
def test_several_labels_are_counted_one_by_one_or_together(seed):
    logits, labels = drawn(seed)
    for peer, z in enumerate(logits):
        each, together = [], ([], [])
        for c in range(4):
            known = [(y == 1, v > 0) for y, v in zip(labels[:, c].tolist(), z[:, c].tolist(), strict=True) if y >= 0]
            truth, got = map(list, zip(*known, strict=True))
            each.append(counted(truth, got))
            together[0].extend(truth)
            together[1].extend(got)
        assert f1_labels(logits, labels)[peer].item() == pytest.approx(sum(each) / 4)
        assert f1_labels(logits, labels, "micro")[peer].item() == pytest.approx(counted(*together))


@settings(derandomize=True, deadline=None, max_examples=15)
@given(st.integers(0, 1000), st.booleans())
def test_mean_average_precision_is_the_sum_over_thresholds(seed, coarse):
    logits, labels = drawn(seed)
    logits = logits.round() if coarse else logits
    for peer, z in enumerate(logits):
        each = []
        for c in range(4):
            known = [(y == 1, v) for y, v in zip(labels[:, c].tolist(), z[:, c].tolist(), strict=True) if y >= 0]
            if any(t for t, _ in known):
                each.append(precision_steps(*zip(*known, strict=True)))
        assert mean_average_precision(logits, labels)[peer].item() == pytest.approx(sum(each) / len(each))


def test_against_torchmetrics():
    functional = pytest.importorskip("torchmetrics.functional.classification", reason="torchmetrics is not installed")
    logits, labels = drawn(7, n=60)
    labels = labels.clamp(min=0)
    p = logits[0].sigmoid()
    for average in ("macro", "micro"):
        theirs = functional.multilabel_f1_score(p, labels, num_labels=4, average=average)
        assert f1_labels(logits, labels, average)[0].item() == pytest.approx(theirs.item(), abs=1e-6)
    theirs = functional.multilabel_average_precision(p, labels, num_labels=4, average="macro")
    assert mean_average_precision(logits, labels)[0].item() == pytest.approx(theirs.item(), abs=1e-6)


def test_a_label_that_nobody_has_is_left_out_and_infinite_odds_rank_first():
    logits = torch.tensor([[math.inf, 0.0], [-math.inf, 1.0], [0.0, 2.0]])
    labels = torch.tensor([[1, 0], [0, 0], [1, 0]])
    assert mean_average_precision(logits, labels).item() == 1.0
    assert mean_average_precision(logits, torch.zeros_like(labels)).isnan()
    logits[0, 0] = torch.nan
    assert mean_average_precision(logits, labels).isnan()


def test_what_does_not_fit_is_an_error():
    for metric in (f1_labels, mean_average_precision):
        with pytest.raises(ValueError, match=r"give \[..., N, C\], \[N, C\]"):
            metric(torch.zeros(3, 2), torch.zeros(3, dtype=torch.long))
        with pytest.raises(ValueError, match="give 0, 1, or -1"):
            metric(torch.zeros(3, 2), torch.full((3, 2), 2))
    with pytest.raises(ValueError, match="average='weighted': choose one of macro, micro"):
        f1_labels(torch.zeros(3, 2), torch.zeros(3, 2, dtype=torch.long), "weighted")


@pytest.mark.parametrize("average", ["macro", "micro"])
def test_where_no_label_is_known_there_is_no_f1(average):
    assert f1_labels(torch.zeros(2, 3, 2), torch.full((3, 2), -1), average).isnan().all()
