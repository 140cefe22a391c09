"""Pairs of peers against loops over examples and classes, numpy's correlation and scikit-learn's."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import matthews_corrcoef

from codistill.metrics.pairs import error_correlation, js_matrix, kl_matrix, off_diagonal, off_diagonal_mean


@pytest.fixture
def logits():
    return 2.0 * torch.randn(3, 30, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def labels():
    return torch.randint(5, (30,), generator=torch.Generator().manual_seed(1))


def posteriors(logits):
    e = np.exp(logits.numpy())
    return e / e.sum(-1, keepdims=True)


def kl(q, p):
    return sum(a * math.log(a / b) for a, b in zip(q, p, strict=True))


def test_error_correlation_is_the_phi_coefficient(logits, labels):
    wrong = (logits.argmax(-1) != labels).numpy()
    got = error_correlation(logits, labels)
    np.testing.assert_allclose(got, np.corrcoef(wrong), atol=1e-12)
    assert got[0, 2].item() == pytest.approx(matthews_corrcoef(wrong[0], wrong[2]))


def test_error_correlation_by_hand():
    # Errors on examples {0, 1} and {1, 2} of four: n11 = n10 = n01 = n00 = 1, so phi = 0; with {0, 1} itself 1.
    one, two = torch.eye(2)[[1, 1, 0, 0]], torch.eye(2)[[0, 1, 1, 0]]
    three = torch.eye(2)[[0, 0, 1, 1]]  # errs where the first does not
    got = error_correlation(torch.stack([one, two, three]), torch.zeros(4, dtype=torch.long))
    torch.testing.assert_close(got, torch.tensor([[1.0, 0.0, -1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 1.0]]))


def test_a_peer_that_never_errs_has_no_correlation(logits, labels):
    perfect = 9.0 * torch.nn.functional.one_hot(labels, 5).double()
    got = error_correlation(torch.stack([logits[0], perfect]), labels)
    assert got.isnan().tolist() == [[False, True], [True, True]]


def test_kl_is_indexed_student_first(logits):
    p = posteriors(logits)
    got = kl_matrix(logits)
    for student in range(3):
        for source in range(3):
            mean = np.mean([kl(p[source, n], p[student, n]) for n in range(30)])
            assert got[student, source].item() == pytest.approx(mean, abs=1e-12)
    assert abs(got[0, 1] - got[1, 0]) > 0.01  # so the order was tested
    assert got.diagonal().tolist() == [0.0, 0.0, 0.0]


def test_js_is_symmetric_and_bounded(logits):
    p = posteriors(logits)
    got = js_matrix(logits)
    for i in range(3):
        for j in range(3):
            m = (p[i] + p[j]) / 2
            mean = np.mean([(kl(p[i, n], m[n]) + kl(p[j, n], m[n])) / 2 for n in range(30)])
            assert got[i, j].item() == pytest.approx(mean, abs=1e-12)
    torch.testing.assert_close(got, got.T)
    apart = 1e4 * torch.eye(2).unsqueeze(1)  # [2, 1, 2]: certain, of different classes
    assert js_matrix(apart)[0, 1].item() == pytest.approx(math.log(2.0))


def test_no_divergence_is_below_zero_in_single_precision():
    logits = torch.randn(4, 200, 10, generator=torch.Generator().manual_seed(3))
    assert (js_matrix(logits) >= 0).all()
    assert (kl_matrix(logits) >= 0).all()


def test_leading_dims_stay(logits, labels):
    both = torch.stack([logits, logits.flip(0)])
    for matrix in (kl_matrix(both), js_matrix(both), error_correlation(both, labels)):
        assert matrix.shape == (2, 3, 3)
    torch.testing.assert_close(kl_matrix(both)[1], kl_matrix(logits).flip(0, 1))


def test_the_mean_off_the_diagonal_is_over_all_matrices_and_leaves_unknown_entries_out():
    matrix = [[9.0, 1.0, 2.0], [3.0, 9.0, 4.0], [5.0, 6.0, 9.0]]
    assert off_diagonal(matrix) == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert off_diagonal_mean([matrix]) == pytest.approx(3.5)
    assert off_diagonal_mean([matrix, [[None, 10.0], [None, None]]]) == pytest.approx(31 / 7)
    assert off_diagonal_mean([[[1.0]]]) is None
