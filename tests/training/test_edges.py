"""What the log says of the distance between peers, against plain loops."""

import pytest
import torch

from codistill.run import Run
from codistill.training.edges import MEASURED_STEPS, edges, is_measured
from codistill.training.loop import train
from codistill.training.records import logged, read_log

RUN = Run(method="dml", peers=3, models=("cnn:width=4",), labels=60, batch=20, epochs=2, execute="stack")


def posteriors(z, task):
    """One sample's distributions, a row each."""
    return z.softmax(0)[None] if task == "classes" else torch.stack([1 - z.sigmoid(), z.sigmoid()], -1)


def naive(logits, task):
    """[P, N, C] -> KL(p_j || p_i) and agreement by loops over peers and samples, from probabilities."""
    peers, samples = logits.shape[:2]
    kls, agree = torch.zeros(peers, peers), torch.zeros(peers, peers)
    for i in range(peers):
        for j in range(peers):
            total, same = 0.0, 0
            for n in range(samples):
                one, two = (posteriors(z, task) for z in (logits[j, n], logits[i, n]))
                total += float((one * (one / two).log()).sum())
                same += float((one.argmax(-1) == two.argmax(-1)).double().mean())
            kls[i, j], agree[i, j] = total / samples, same / samples
    return kls, agree


@pytest.mark.parametrize(("task", "classes"), [("classes", 4), ("binary", 1), ("multilabel", 3)])
def test_every_edge_is_the_kl_from_source_to_student(task, classes):
    logits = torch.randn(2, 3, 7, classes, dtype=torch.float64) * 2
    found = edges(logits, task)
    for block in range(2):
        kls, agree = naive(logits[block], task)
        torch.testing.assert_close(found["edges"][block], kls.double(), rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(found["agree"][block], agree.double())
    assert not torch.allclose(found["edges"], found["edges"].mT)


def test_a_probability_of_zero_adds_nothing():
    logits = torch.tensor([[[[0.0, -torch.inf]], [[0.0, 0.0]]]])
    kls = edges(logits)["edges"][0]
    assert kls[1, 0] == pytest.approx(float(torch.tensor(2.0).log()))
    assert torch.isfinite(kls[0, 0])
    assert kls[0, 0] == 0


def test_identical_peers_are_at_distance_zero_and_agree():
    logits = torch.randn(1, 1, 500, 30).expand(1, 2, 500, 30)
    found = edges(logits)
    assert (found["edges"] == 0).all()  # and not what rounding leaves, which the log would take for a difference
    assert (found["agree"] == 1).all()


def test_some_steps_of_a_long_epoch_and_all_of_a_short_one_are_measured():
    assert [is_measured(step, 3) for step in range(3)] == [True] * 3
    assert MEASURED_STEPS <= sum(is_measured(step, 1000) for step in range(1000)) <= MEASURED_STEPS + 1


@pytest.mark.parametrize("update", ["together", "in_turn", "fresh_batch"])
def test_the_log_has_every_edge_and_no_pass_is_made_for_it(tmp_path, update, monkeypatch):
    run = RUN.replace(update=update)
    folder = tmp_path / "run"
    (end,) = [r for r in logged(train([run, run.replace(seed=1)], folder), folder) if r.kind == "end"]
    lines = [line for line in read_log(folder) if line["kind"] == "epoch"]
    for line in lines:
        edges = torch.tensor(line["edges"])
        assert edges.shape == (3, 3)
        assert (edges.diagonal() < 1e-6).all()
        assert (edges + torch.eye(3) > 1e-4).all()
    assert lines[0]["edges"] != lines[1]["edges"]  # of two seeds
    from codistill.training import state as module

    monkeypatch.setattr(module, "is_measured", lambda step, steps: False)
    *_, blind = train([run, run.replace(seed=1)])
    assert blind.facts["passes"] == end.facts["passes"]
    assert [{**line, "number": 0} for line in blind.lines] == [{**line, "number": 0} for line in end.lines]


def test_with_two_peers_the_mean_of_the_edges_is_the_mimic_term(tmp_path):
    folder = tmp_path / "run"
    list(logged(train(RUN.replace(peers=2), folder), folder))
    for line in read_log(folder):
        if line["kind"] == "epoch":  # every step of this short epoch is measured
            edges = torch.tensor(line["edges"])
            torch.testing.assert_close(
                torch.stack([edges[0, 1], edges[1, 0]]), torch.tensor(line["terms"]["mimic"]), rtol=1e-4, atol=1e-6
            )


def test_peers_with_samples_of_their_own_and_single_networks_are_not_compared(tmp_path):
    for number, run in enumerate((RUN.replace(method="alone", peers=1), RUN.replace(method="alone", shards=True))):
        folder = tmp_path / str(number)
        list(logged(train(run, folder), folder))
        assert not any("edges" in line for line in read_log(folder))


def test_the_log_says_how_many_samples_were_selected(tmp_path):
    selecting = RUN.replace(method="dml:select=confident:0.12")
    lines = {}
    for name, run in (("all", RUN), ("some", selecting), ("none", RUN.replace(method="dml:select=confident:1.0"))):
        folder = tmp_path / name
        list(logged(train([run, run.replace(seed=1)], folder), folder))
        lines[name] = [line for line in read_log(folder) if line["kind"] == "epoch"]
    assert not any("kept" in line for line in lines["all"])
    assert all(line["kept"] == [0.0] * 3 for line in lines["none"])
    assert all(len(line["kept"]) == 3 and 0 < sum(line["kept"]) <= 3 for line in lines["some"])
    assert lines["some"][0]["kept"] != lines["some"][1]["kept"]  # of two seeds
