"""Features along a graph's edges."""

import pytest
import torch

from codistill.graph import along_features, complete, edges, everyone, matrix, none, ring

ROWS = [[0.0, 0.3, 0.7], [0.0, 0.0, 0.0], [2.0, 0.1, 0.0]]


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def distance(students, sources):
    return (students.flatten(2).mean(2) - sources.flatten(2).mean(2)).abs().mean(1)


def test_edges_are_those_that_weigh_something_block_by_block():
    assert edges(matrix(ROWS), 3, 3) == ((0, 1), (0, 2), (2, 0), (2, 1))
    assert edges(ring().repeat(2), 4, 4) == ((0, 1), (1, 0), (2, 3), (3, 2))
    assert edges(everyone(), 2, 1) == ((0, 0), (1, 0))
    assert edges(none(), 2, 2) == ()


@pytest.mark.parametrize("kind", ["tensors", "students listed", "sources listed", "both listed"])
def test_the_sum_is_over_edges(kind):
    students, sources = drawn(3, 4, 5).requires_grad_(), drawn(3, 4, 5, seed=1)
    given = {
        "students": list(students) if kind in ("students listed", "both listed") else students,
        "sources": list(sources) if kind in ("sources listed", "both listed") else sources,
    }
    expected = torch.stack(
        [
            sum((w * distance(students[i, None], sources[j, None])[0] for j, w in enumerate(row)), students.sum() * 0.0)
            for i, row in enumerate(ROWS)
        ]
    )
    got = along_features(matrix(ROWS), distance, **given)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(*(torch.autograd.grad(v.sum(), students, retain_graph=True) for v in (got, expected)))


@pytest.mark.parametrize("listed", [False, True])
def test_a_loss_with_something_of_its_own_for_every_edge_gets_the_edges(listed):
    students, sources = drawn(3, 4, 5), drawn(3, 4, 5, seed=1)
    factors = drawn(4, seed=2)
    seen = []

    def loss(student, source, edge):
        seen.append(edge)
        return distance(student, source) * (factors if edge is None else factors[edge])

    given = (list(students), list(sources)) if listed else (students, sources)
    got = along_features(matrix(ROWS), loss, students=given[0], sources=given[1], numbered=True)
    assert seen == ([0, 1, 2, 3] if listed else [None])
    expected = torch.zeros(3, dtype=torch.float64)
    for e, (i, j) in enumerate(((0, 1), (0, 2), (2, 0), (2, 1))):
        expected[i] += ROWS[i][j] * factors[e] * distance(students[i, None], sources[j, None])[0]
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("listed", [False, True])
def test_without_edges_there_is_nothing_to_imitate_and_no_loss_to_ask(listed):
    students = drawn(1, 4, 5)
    got = along_features(complete(), None, students=list(students) if listed else students, sources=students)
    assert got.tolist() == [0.0]
