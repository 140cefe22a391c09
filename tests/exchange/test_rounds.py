"""Silos that meet in rounds: their numbers are those of one process, and what is told is predictions alone."""

import pytest
import torch

from codistill.deployment.opening import load
from codistill.exchange.rounds import Answer, Question, Silo, mixed, rounds
from codistill.files import read_lines
from codistill.report.traffic import rounds_notes
from codistill.spec import Spec
from codistill.training.loop import restored, resume, train
from codistill.training.records import logged, read_log
from codistill.training.results import results
from codistill.training.silo import answer, conduct, own_part
from jobs import noisy_squares
from silos_here import APART, EVERY, TOGETHER, Here, assert_same, weights


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    folder = tmp_path_factory.mktemp("together") / "run"
    list(logged(train(TOGETHER, folder, dataset=noisy_squares()), folder))
    return folder


@pytest.mark.parametrize("method", ["codistillation:exchange=logits,burn_in=0", "dml"])
def test_silos_learn_what_one_process_learns(method, together, tmp_path):
    silos = Here(tmp_path, APART.replace(method=Spec.of(method).replace(temperature=2)))
    told = list(conduct(silos.run, EVERY, silos.ask))
    assert [each.until for each in told] == [4, 8, 10]
    expected = {row["peer"]: row for row in read_lines(together / "results.jsonl") if row.get("networks") == 1}
    ours = [line for line in read_log(together) if line["kind"] == "epoch"]
    for peer in range(3):
        home = tmp_path / str(peer)
        assert_same(weights(home, peer), weights(together, peer))
        (row,) = read_lines(home / "results.jsonl")  # of its own network, and nobody else's
        assert row["peer"] == peer
        assert row["nll"] == pytest.approx(expected[peer]["nll"], rel=1e-9)
        lines = [line for line in read_log(home) if line["kind"] == "epoch"]
        for line, one in zip(lines, ours, strict=True):
            assert line["terms"]["mimic"] == [pytest.approx(one["terms"]["mimic"][peer], rel=1e-8)]
        assert lines[-1]["terms"]["mimic"][0] > 0


def test_predictions_for_common_samples_cross_and_nothing_else(tmp_path):
    silos = Here(tmp_path)
    told = list(conduct(APART, EVERY, silos.ask))
    pool, size = 20, 20 * 5 * 8  # samples without a label; bytes of five float64 each
    assert {type(each) for each in silos.crossed} == {Question, Answer}
    for each in silos.crossed:
        tensors = {name: value for name, value in vars(each).items() if isinstance(value, torch.Tensor)}
        assert tensors.keys() <= {"mix", "posteriors"}
        for p in tensors.values():
            assert p.shape == (pool, 5)
            total = p.sum(-1)
            assert bool(((total - 1).abs().lt(1e-9) | total.eq(0)).all())
    assert [(each.sent, each.received) for each in told] == [(0, 3 * size), *[(3 * size, 3 * size)] * 2]
    lines = [line for line in read_log(tmp_path / "1") if line["kind"] == "exchange"]
    assert [(line["received"], line["sent"]) for line in lines] == [(0, size), (size, size), (size, size)]
    assert rounds_notes(read_log(tmp_path / "1")) == [
        "What crossed in 3 rounds: this silo sent 2.4 kB of predictions for samples without a label and received "
        "1.6 kB; no weights, and none of its own samples."
    ]
    assert [line["of"] for line in lines] == [[], *[[0, 1, 2]] * 2]
    (traffic,) = [line for line in read_log(tmp_path / "1") if line["kind"] == "start"][-1]["traffic"]
    assert (traffic["messages"], traffic["numbers"], traffic["total"]) == (3, pool * 5, 3 * pool * 5)


def test_one_stays_away_for_a_round_and_returns(tmp_path):
    silos = Here(tmp_path)
    there, steps = iter([(0, 1, 2), (0, 1), (0, 1, 2)]), {}

    def ask(question):
        silos.peers = next(there)
        questions, answers = silos.ask(question)
        steps[len(steps)] = {peer: each.step for peer, each in answers.items()}
        return questions, answers

    told = list(rounds(W, APART.steps, EVERY, ask))
    assert [each.questions[0].present for each in told] == [(), (0, 1, 2), (0, 1)]
    assert torch.equal(told[2].questions[0].mix, told[1].answers[1].posteriors)  # nobody else was there
    assert steps == {0: dict.fromkeys(range(3), 4), 1: {0: 8, 1: 8}, 2: dict.fromkeys(range(3), 10)}
    lines = [line for line in read_log(tmp_path / "2") if line["kind"] == "exchange"]
    assert [line["step"] for line in lines] == [0, 4]  # it has caught up in one go
    assert (tmp_path / "2" / "results.jsonl").exists()


W = (torch.ones(3, 3) - torch.eye(3)).double() / 2


def test_an_answer_is_the_same_however_often_its_training_is_broken_off(tmp_path):
    asked = Question(4, EVERY)
    whole = Here(tmp_path / "whole").answer(1, asked)
    broken = Here(tmp_path / "broken")
    for until in (1, 3, 3, 4, 2):
        found = broken.answer(1, Question(until, EVERY))
    assert (found.step, found.pool) == (4, whole.pool)
    assert torch.equal(found.posteriors, whole.posteriors)


def naive_mix(w, answers, student):
    """What a student is told, sample by sample."""
    sources = [j for j in answers if w[student][j] > 0]
    total = sum(w[student][j] for j in sources)
    n, classes = next(iter(answers.values())).posteriors.shape
    mix = torch.zeros(n, classes, dtype=torch.float64)
    for x in range(n):
        if sources and all(float(answers[j].posteriors[x].sum()) > 0 for j in sources):
            for j in sources:
                mix[x] += w[student][j] / total * answers[j].posteriors[x]
    return mix


@pytest.mark.parametrize("here", [(0, 1, 2, 3), (0, 2, 3), (1, 2), (3,)])
def test_the_mix_is_the_weighted_mean_of_those_who_are_there(here):
    draw = torch.Generator().manual_seed(0)
    w = torch.rand(4, 4, generator=draw, dtype=torch.float64).fill_diagonal_(0)
    w[2] = torch.tensor([0.0, 0.0, 0.0, 1.0])
    p = torch.rand(4, 6, 3, generator=draw, dtype=torch.float64).softmax(-1)
    p[1, 2] = p[3, 5] = 0  # not seen yet
    answers = {peer: Answer(peer, 4, p[peer], "a") for peer in here}
    found = mixed(w, answers)
    for student in range(4):
        torch.testing.assert_close(found[student], naive_mix(w.tolist(), answers, student))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (Answer(1, 4, torch.ones(6, 3) / 3, "b"), "peers 0 and 1 have other samples without a label"),
        (Answer(1, 4, torch.ones(7, 3) / 3, "a"), r"peer 1 predicts \[7, 3\] samples and classes, peer 0 \[6, 3\]"),
        (Answer(1, 4, torch.full((6, 3), torch.nan), "a"), "peer 1 answered with numbers that are no posteriors"),
        (Answer(1, 4, torch.randn(6, 3), "a"), "peer 1 answered with numbers that are no posteriors"),
    ],
)
def test_silos_must_speak_of_the_same_samples(other, message):
    with pytest.raises(ValueError, match=message):
        mixed(W, {0: Answer(0, 4, torch.ones(6, 3) / 3, "a"), 1: other})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": 30}, "labels='30': a silo learns from what it has, by itself: leave it out"),
        ({"steps": None}, "set steps"),
        ({"shards": "none"}, "set shards"),
        ({"unlabelled": 0}, "unlabelled=0: silos tell each other"),
        ({"update": "in_turn"}, "update='in_turn'.*use 'together'"),
        ({"method": "pseudo"}, "use dml, dml_ensemble or codistillation:exchange=logits"),
        ({"method": "codistillation:exchange=posteriors,exchange_every=9"}, "every=9 steps between rounds"),
        ({"method": "dml:divergence=js"}, "divergence=kl"),
        ({"method": "dml_ensemble:mean=geometric"}, "not mean='geometric'"),
        ({"method": "dml_ensemble:include_self=true"}, "include_self=True"),
        ({"method": "dml:target=hard"}, "with target='hard' use dml_ensemble"),
    ],
)
def test_what_silos_cannot_do_says_what_to_change(changes, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        Here(tmp_path, APART.replace(**changes)).answer(0, Question(4, EVERY))
    assert not (tmp_path / "0" / "runs.json").exists()


def test_a_folder_goes_on_with_the_same_samples_and_by_being_asked(tmp_path):
    silos = Here(tmp_path)
    silos.answer(0, Question(2, EVERY))
    with pytest.raises(ValueError, match="is of one peer of several silos"):
        next(resume(tmp_path / "0", dataset=silos.data[0]))
    silos.data.append(silos.data[0])
    with pytest.raises(ValueError, match="peer=3: there are peers 0 to 2"):
        silos.answer(3, Question(4, EVERY))
    silos.answer(2, Question(2, EVERY))
    assert load(tmp_path / "2")(silos.data[2].test.x[:3].double()).shape == (3, 5)  # its network, ready for use
    fleet = restored(tmp_path / "0", dataset=silos.data[0])
    assert [row.peer for row in results(fleet, "test")] == [0]
    assert fleet.cohort.held == (0,)
    with pytest.raises(ValueError, match="trained by|another silo's"):
        fleet.cohort.peer_state(1)
    pool = own_part(TOGETHER.replace(seed=5), 0, noisy_squares())
    with pytest.raises(ValueError, match="samples without a label are others"):
        answer(APART, tmp_path / "0", Silo(0, EVERY, Question(4, EVERY)), pool)


def test_a_silo_has_its_own_labelled_examples_and_those_of_all_without_a_label():
    whole, every = noisy_squares(), [own_part(TOGETHER, peer, noisy_squares()).train for peer in range(3)]
    labelled = torch.cat([part.x[part.y >= 0] for part in every])
    assert len(labelled) == len(torch.unique(labelled.flatten(1), dim=0)) == 30
    pools = [part.x[part.y < 0] for part in every]
    assert all(torch.equal(pool, pools[0]) for pool in pools)
    found = torch.cat([labelled, pools[0]]).flatten(1)
    assert torch.equal(torch.unique(found, dim=0), torch.unique(whole.train.x.flatten(1), dim=0))
    with pytest.raises(ValueError, match="give one of the peers 0 to 2"):
        own_part(TOGETHER, 3, whole)
