import pytest
import torch
from hypothesis import given, settings, strategies as st

import naive
from codistill.batch import Batch
from codistill.graph import Graph, along, blend, complete, everyone, matrix, named, none, ring, star
from codistill.losses.divergences.js import js
from codistill.losses.divergences.kl import KL, kl, reverse_kl, symmetric_kl
from codistill.spec import UnknownName

ALL = {"kl": kl, "reverse_kl": reverse_kl, "symmetric_kl": symmetric_kl, "js": js}
ROWS = [[0.0, 0.3, 0.7, 0.0], [0.1, 0.0, 0.0, 2.0], [0.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]]
THIRD = 1.0 / 3.0
GRAPHS = {
    "complete": (
        complete(),
        [[0, THIRD, THIRD, THIRD], [THIRD, 0, THIRD, THIRD], [THIRD, THIRD, 0, THIRD], [THIRD, THIRD, THIRD, 0]],
    ),
    "sum": (complete("sum"), [[0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]]),
    "ring": (ring(), [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]]),
    "star": (star(), [[0, THIRD, THIRD, THIRD], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]),
    "none": (none(), [[0] * 4] * 4),
    "everyone": (everyone(), [[0.25] * 4] * 4),
    "matrix": (matrix(ROWS), ROWS),
    "pairs": (complete().repeat(2), [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]),
    "alone": (complete().repeat(4), [[0] * 4] * 4),
}
quick = settings(derandomize=True, deadline=None, max_examples=15)


def drawn(seed, *shape):
    return 2.0 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def check(w, name, graph, students, sources, **settings):
    """`along` against one edge and one sample at a time: values and gradients."""
    students = students.requires_grad_()
    mask = settings.get("mask")
    whole = mask.expand(students.shape[:2]) if mask is not None else None
    of = Batch(None, torch.zeros(0), mask=mask)
    got = along(
        graph, ALL[name], students=students, sources=sources, of=of, temperature=settings.get("temperature", 1.0)
    )
    expected = naive.along(w, name, students, sources, **{**settings, "mask": whole})
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(*(naive.gradients(v, students)[0] for v in (got, expected)), rtol=1e-10, atol=1e-13)
    assert got.shape == (len(students),)
    return got


# The weights --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GRAPHS)
def test_the_weights_are_those_that_the_name_says(name):
    graph, rows = GRAPHS[name]
    torch.testing.assert_close(graph.matrix(4), torch.tensor(rows, dtype=torch.float64), rtol=0, atol=1e-16)


def test_between_students_and_other_sources():
    half = 1 / 2
    assert complete().matrix(2, 3).tolist() == [[0, half, half], [half, 0, half]]
    assert complete().matrix(3, 2).tolist() == [[0, 1], [1, 0], [half, half]]
    assert ring().matrix(2, 3).tolist() == [[0, 1, 0], [0, 0, 1]]
    assert everyone().matrix(1, 2).tolist() == [[half, half]]
    assert everyone().repeat(2).matrix(2, 4).tolist() == [[half, half, 0, 0], [0, 0, half, half]]
    assert matrix([[1, 0, 2]]).matrix(1, 3).tolist() == [[1, 0, 2]]


@given(peers=st.integers(1, 7))
@quick
def test_a_mean_weighs_one_and_nobody_learns_from_itself(peers):
    ones = torch.ones(peers, dtype=torch.float64) if peers > 1 else torch.zeros(1, dtype=torch.float64)
    totals = [(complete(), ones), (ring(), ones), (star(), ones), (complete("sum"), (peers - 1) * ones)]
    for graph, total in totals:
        w = graph.matrix(peers)
        assert w.diagonal().abs().max() == 0.0
        torch.testing.assert_close(w.sum(1), total)


@given(peers=st.integers(1, 4), blocks=st.integers(1, 4), more=st.integers(1, 3))
@quick
def test_blocks_stand_side_by_side(peers, blocks, more):
    for graph in (complete(), ring(), star(), everyone()):
        expected = torch.block_diag(*[graph.matrix(peers)] * (blocks * more))
        assert torch.equal(graph.repeat(blocks).repeat(more).matrix(peers * blocks * more), expected)


def test_peers_that_do_not_fill_the_blocks_are_refused():
    with pytest.raises(ValueError, match="graph 'complete' has 2 blocks, which 3 students and 4 sources do not fill"):
        complete().repeat(2).matrix(3, 4)


def test_a_matrix_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"the graph's matrix is \(1, 2\), the cohort needs \(2, 2\)"):
        matrix([[0.0, 1.0]]).matrix(2)


def test_graphs_are_found_by_name_by_matrix_or_are_themselves():
    assert torch.equal(named("own").matrix(3), torch.eye(3))
    for name in ("complete", "ring", "star", "none", "everyone"):
        assert torch.equal(named(name).matrix(4), GRAPHS[name][0].matrix(4))
    assert named(ROWS).matrix(4).tolist() == ROWS
    mine = Graph(lambda students, sources: torch.eye(students, sources), "mine")
    assert named(mine) is mine
    with pytest.raises(UnknownName, match="no graph is called 'rign': did you mean 'ring'"):
        named("rign")
    with pytest.raises(ValueError, match="total='max': choose 'mean' .* or 'sum'"):
        complete("max")


# along --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("divergence", ALL)
@pytest.mark.parametrize("name", GRAPHS)
def test_along_is_the_sum_over_edges(name, divergence, temperature):
    graph, rows = GRAPHS[name]
    check(rows, divergence, graph, drawn(0, 4, 3, 5), drawn(1, 4, 3, 5), temperature=temperature)


@pytest.mark.parametrize("task", ["binary", "multilabel", "tokens"])
@pytest.mark.parametrize("divergence", ["kl", "js"])
@pytest.mark.parametrize("name", ["complete", "matrix", "pairs", "ring"])
def test_along_is_the_sum_over_edges_in_every_task(name, divergence, task):
    graph, rows = GRAPHS[name]
    shape = {"binary": (4, 3, 1), "multilabel": (4, 3, 2), "tokens": (4, 2, 2, 3)}[task]
    students, sources = drawn(2, *shape).requires_grad_(), drawn(3, *shape)
    of = Batch(None, torch.zeros(0), task=task)
    got = along(graph, ALL[divergence], students=students, sources=sources, of=of, temperature=2.0)
    flat = (students, sources) if task != "tokens" else (students.flatten(1, 2), sources.flatten(1, 2))
    expected = naive.along(rows, divergence, *flat, task=task, temperature=2.0)
    torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(*(naive.gradients(v, students)[0] for v in (got, expected)), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("divergence", ["kl", "js"])
@pytest.mark.parametrize("name", ["complete", "matrix", "pairs", "ring"])
@pytest.mark.parametrize("mask", [[1, 0, 1], [[1, 1, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0]]])
def test_along_heeds_the_mask(name, divergence, mask):
    graph, rows = GRAPHS[name]
    check(rows, divergence, graph, drawn(4, 4, 3, 5), drawn(5, 4, 3, 5), mask=torch.tensor(mask))


@pytest.mark.parametrize("divergence", ["kl", "reverse_kl"])
@pytest.mark.parametrize("rows", [[[0.5, 0.5, 0.0], [0.0, 0.2, 0.8]], [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])
def test_students_and_sources_may_be_others(rows, divergence):
    check(rows, divergence, matrix(rows), drawn(6, 2, 3, 4), drawn(7, 3, 3, 4))


@given(weights=st.lists(st.floats(0.0, 3.0), min_size=9, max_size=9), seed=st.integers(0, 10**6))
@quick
def test_the_forward_kl_through_the_mean_is_the_true_sum_for_any_weights(weights, seed):
    rows = [weights[i : i + 3] for i in range(0, 9, 3)]
    check(rows, "kl", matrix(rows), drawn(seed, 3, 2, 3), drawn(seed + 1, 3, 2, 3))


class Counted(KL):
    """Forward KL that counts how many rows it is asked for."""

    def __init__(self):
        self.rows = 0

    def between(self, source, student):
        self.rows += len(student)
        return super().between(source, student)


def test_many_sources_of_a_forward_kl_do_not_cost_a_divergence_for_every_edge():
    counted, z = Counted(), drawn(11, 6, 2, 3)
    along(complete(), counted, students=z, sources=z)
    assert counted.rows == 0
    along(ring(), counted, students=z, sources=z)
    assert counted.rows == 6


def test_weights_are_as_exact_as_the_logits():
    z, sources = drawn(12, 4, 2, 3), drawn(13, 4, 2, 3)
    for divergence in (kl, js):
        one = along(complete(), divergence, students=z, sources=sources)
        two = along(complete("sum"), divergence, students=z, sources=sources) / 3
        torch.testing.assert_close(one, two, rtol=1e-14, atol=0)


def test_half_precision_logits_are_compared_in_float32():
    z, sources = drawn(14, 4, 2, 3).bfloat16(), drawn(15, 4, 2, 3).bfloat16()
    for divergence in (kl, js):
        got = along(complete(), divergence, students=z, sources=sources)
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, along(complete(), divergence, students=z.float(), sources=sources.float()))


@pytest.mark.parametrize("peers", [2, 3])
def test_a_class_that_nobody_gives_any_mass_adds_nothing(peers):
    z, sources = drawn(16, peers, 2, 4), drawn(17, peers, 2, 4)
    expected = along(complete(), kl, students=z[..., :3].clone(), sources=sources[..., :3])
    z[..., 3] = sources[..., 3] = -torch.inf
    z.requires_grad_()
    got = along(complete(), kl, students=z, sources=sources)
    torch.testing.assert_close(got, expected)
    assert naive.gradients(got, z)[0].isfinite().all()


@pytest.mark.parametrize("divergence", ALL)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_diverges_in_one_block_stays_there(divergence, bad):
    z = drawn(18, 6, 2, 3)
    expected = along(complete().repeat(2), ALL[divergence], students=z, sources=z)
    z[1, 0, 0] = bad
    z.requires_grad_()
    got = along(complete().repeat(2), ALL[divergence], students=z, sources=z.detach())
    torch.testing.assert_close(got[3:], expected[3:], rtol=1e-12, atol=0)
    assert not got[:3].isfinite().any()
    assert naive.gradients(got, z)[0][3:].isfinite().all()
    mixed = blend(complete().repeat(2), logits=z.detach())
    assert mixed[3:].isfinite().all()


def test_students_and_sources_of_other_classes_are_refused():
    with pytest.raises(ValueError, match="students have 3 classes and their sources 4"):
        along(complete(), kl, students=torch.zeros(2, 5, 3), sources=torch.zeros(2, 5, 4))


def test_weights_of_zero_give_a_zero_that_can_be_gone_back_through():
    z = drawn(19, 2, 3, 4).requires_grad_()
    value = along(none(), kl, students=z, sources=z.detach())
    assert value.tolist() == [0.0, 0.0]
    assert naive.gradients(value + 0.0 * z.sum(), z)[0].abs().max() == 0.0
    value = along(none(), kl, students=z[:1], sources=z[:1].detach())
    assert value.tolist() == [0.0]


# blend --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1.0, 4.0])
@pytest.mark.parametrize("name", ["complete", "sum", "ring", "star", "matrix", "pairs"])
def test_blend_is_the_weighted_sum_of_posteriors(name, temperature):
    graph, rows = GRAPHS[name]
    z = drawn(20, 4, 3, 5)
    got = blend(graph, logits=z, temperature=temperature)
    for i in range(4):
        for b in range(3):
            expected = sum(rows[i][j] * naive.softmax(z[j, b], temperature) for j in range(4))
            torch.testing.assert_close(got[i, b], torch.as_tensor(expected))


def test_blend_of_bernoulli_posteriors_keeps_both_sides():
    z = drawn(21, 3, 2, 2)
    got = blend(complete(), logits=z, task="multilabel", temperature=2.0)
    assert got.shape == (3, 2, 2, 2)
    expected = (naive.bernoulli(z[1, 0, 1], 2.0) + naive.bernoulli(z[2, 0, 1], 2.0)) / 2
    torch.testing.assert_close(got[0, 0, 1], expected)


def test_a_temperature_is_never_applied_twice():
    z = drawn(22, 3, 2, 4)
    once = blend(complete(), logits=z, temperature=3.0)
    torch.testing.assert_close(blend(complete(), posteriors=(z / 3.0).softmax(-1), temperature=3.0), once)
    torch.testing.assert_close(blend(complete(), posteriors=(z / 3.0).softmax(-1)), once)


def test_blend_for_other_students_and_for_exactly_one_kind_of_input():
    z = drawn(23, 3, 2, 4)
    got = blend(everyone(), logits=z, students=2)
    torch.testing.assert_close(got, z.softmax(-1).mean(0).expand(2, 2, 4))
    for wrong in ({}, {"logits": z, "posteriors": z}):
        with pytest.raises(ValueError, match=r"blend takes either logits= or posteriors="):
            blend(complete(), **wrong)
