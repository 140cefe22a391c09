"""What every method has in common, and how methods are found."""

import pytest
import torch

import small_nets
from codistill import methods
from codistill.batch import Batch
from codistill.cohort import Cohort
from codistill.cohort.groups import Stack
from codistill.methods import Method
from codistill.methods.kd import KD
from codistill.run import Run
from codistill.spec import UnknownName
from codistill.training.build import build_fleet, repeat_graphs
from codistill.training.step import take

X, Y = small_nets.images(6), torch.tensor([0, 1, 2, 0, 2, 1])


def test_options_come_from_the_spec_and_from_python():
    method = methods.get("dml:weight=0.5,divergence=js,graph=ring", temperature=3.0)
    assert (method.weight, method.temperature, method.graph.name) == (0.5, 3.0, "ring")
    assert type(method.divergence).__name__ == "JS"
    assert methods.get("dml:weight=0.5", weight=2.0).weight == 2.0


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("dlm", "no method is called 'dlm': did you mean 'dml'"),
        ("dml:wieght=2", "no option of method 'dml' is called 'wieght': did you mean 'weight'"),
        ("alone:temperature=2", "no option of method 'alone' is called 'temperature': there are: confidence_penalty"),
    ],
)
def test_misspelt_methods_and_options_get_the_nearest(spec, said):
    with pytest.raises(UnknownName, match=said):
        methods.get(spec)


def test_graphs_are_repeated_for_runs_that_stand_side_by_side():
    assert repeat_graphs(methods.get("dml"), 6).graph.blocks == 6
    teacher = Cohort(small_nets.several("cccc", seed=1)).frozen()
    kd = repeat_graphs(KD(teacher), 2)
    torch.testing.assert_close(
        kd.graph.matrix(2, 4), torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]], dtype=torch.float64)
    )
    z = kd(Cohort(small_nets.several("cc")), Batch(X, Y))
    assert z["mimic"].shape == (2,)


@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_a_method_works_on_a_view_and_leaves_the_others_alone(execute):
    cohort = Cohort(small_nets.several("cccc"), execute=execute)
    before = {i: {n: t.clone() for n, t in cohort.peer_state(i).items()} for i in (1, 3)}
    terms = methods.get("dml")(cohort[[2, 0]], Batch(X, Y))
    expected = methods.get("dml")(Cohort([small_nets.several("cccc")[i] for i in (2, 0)]), Batch(X, Y))
    torch.testing.assert_close(terms, expected, rtol=1e-10, atol=1e-12)
    sum(t.sum() for t in terms.values()).backward()
    torch.optim.SGD(cohort.parameters(), lr=0.1).step()
    for i, state in before.items():
        torch.testing.assert_close(cohort.peer_state(i), state, rtol=0, atol=0)


def test_the_readmes_loop_learns():
    torch.manual_seed(0)
    cohort = Cohort(small_nets.several("cl"))
    method, optimizer = methods.get("dml"), torch.optim.SGD(cohort.parameters(), lr=0.1)
    losses = []
    for _ in range(30):
        terms = method(cohort, Batch(X, Y))
        loss = sum(t.sum() for t in terms.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_a_method_needs_its_equation():
    class Empty(Method):
        title = "Empty"

    with pytest.raises(TypeError, match="abstract"):
        Empty()  # type: ignore[abstract]


def test_a_teacher_has_to_be_frozen():
    cohort = Cohort(small_nets.several("cc"))
    for wrong in (cohort, cohort[:], cohort.network(0), "folder"):
        with pytest.raises(ValueError, match=r"teacher is a .*: give a frozen cohort \(cohort.frozen\(\)\), a folder"):
            KD(wrong)


@pytest.mark.parametrize("seeds", [1, 2])
def test_runs_of_like_networks_are_one_stacked_pass_in_a_step(seeds, monkeypatch):
    passes = []
    run_stack = Stack.run

    def counted(self, x, rows, *rest):
        passes.append(list(rows))
        return run_stack(self, x, rows, *rest)

    base = Run(models=("cnn:width=4",), labels=60, batch=30, epochs=1, execute="stack")
    fleet = build_fleet([run.replace(seed=s) for run in (base, base.replace(method="alone")) for s in range(seeds)])
    monkeypatch.setattr(Stack, "run", counted)
    take(fleet, 0, 0)
    assert passes == [list(range(4 * seeds))]
