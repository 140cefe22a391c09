"""What peers tell each other, against plain loops over the batches of a training."""

import pytest
import torch

from codistill import methods
from codistill.jsonable import from_json, to_json
from codistill.methods.parts.exchange import Exchange
from codistill.run import Run
from codistill.training.build import build_fleet
from codistill.training.loop import train
from codistill.training.traffic import Flow, Traffic, count, traffic_of

RUN = Run(models=("mlp:hidden=8",), peers=3, labels=70, batch=20, epochs=4, execute="stack")
SILOS = RUN.replace(labels=60, unlabelled=30, shards="equal", batch=10, steps=37)
CLASSES = 10


def only(run):
    (traffic,) = traffic_of(build_fleet([run]))
    return traffic


def told(run, on, begins=0.0):
    """Numbers that one peer tells the others, step by step, counted from the samples that are really drawn."""
    fleet = build_fleet([run])
    numbers = []
    for step in range(fleet.total):
        _, y, _ = fleet.streams.draw((*divmod(step, fleet.steps), 0))
        compared = {"all": torch.ones_like(y[0]), "labelled": y[0] >= 0, "unlabelled": y[0] < 0}[on]
        numbers.append(CLASSES * int(compared.sum()) if step / fleet.total >= begins else 0)
    return numbers


@pytest.mark.parametrize(
    ("run", "on", "begins"),
    [
        (RUN.replace(method="dml"), "all", 0.0),  # whose passes end with a batch of 10
        (RUN.replace(method="dml", drop_last=True), "all", 0.0),
        (RUN.replace(method="dml", labels=60, unlabelled=30), "all", 0.0),
        (RUN.replace(method="dml:on=labelled", labels=60, unlabelled=30), "labelled", 0.0),
        (SILOS.replace(method="dml"), "unlabelled", 0.0),
        (SILOS.replace(method="dml:burn_in=0.3"), "unlabelled", 0.3),
        (SILOS.replace(method="codistillation:exchange=logits,burn_in=0.0"), "unlabelled", 0.0),
        (RUN.replace(method="jocor"), "all", 0.0),
    ],
)
def test_posteriors_of_the_samples_that_are_compared(run, on, begins):
    traffic, numbers = only(run), told(run, on, begins)
    assert (traffic.what, traffic.steps) == ("posteriors", len(numbers))
    assert traffic.total == sum(numbers)
    assert traffic.numbers == max(numbers)
    assert traffic.messages == sum(number > 0 for number in numbers)


def test_the_largest_and_where_they_are_and_the_rest():
    every, few, most = (only(RUN.replace(method=f"dml:target={target}")) for target in ("soft", "top:2", "top:7"))
    assert few.total * CLASSES == every.total * 5  # two of each, and one number
    assert most.total == every.total  # more than there are classes would be no saving
    assert only(RUN.replace(method="dml:target=top:2,select=agree")).total == every.total


def test_parameters_are_those_of_one_network():
    for run in (SILOS, SILOS.replace(execute="loop"), SILOS.replace(models=("mlp:hidden=8", "mlp:hidden=9", "cnn"))):
        fleet = build_fleet([run])
        each = [sum(p.numel() for p in fleet.cohort.network(peer).parameters()) for peer in range(3)]
        assert only(run).parameters == sum(each) // 3


def test_rounds_of_posteriors_tell_each_sample_since_the_last_one_once_at_most():
    run = SILOS.replace(method="codistillation:exchange=posteriors,exchange_every=5,burn_in=0.0")
    fleet, traffic = build_fleet([run]), only(run)
    seen, rounds = set(), []
    for step in range(fleet.total):
        _, y, index = fleet.streams.draw((*divmod(step, fleet.steps), 0))
        seen |= set(index[0][y[0] < 0].tolist())
        if (step + 1) % 5 == 0:
            rounds.append(CLASSES * len(seen))
            seen = set()
    assert traffic.messages == len(rounds) == 7
    assert max(rounds) <= traffic.numbers == CLASSES * 150
    assert sum(rounds) <= traffic.total == 7 * traffic.numbers


def test_rounds_of_weights_are_what_averaging_them_sends():
    traffic = only(SILOS.replace(method="codistillation:exchange_every=10"))
    assert (traffic.what, traffic.messages) == ("weights", 3)
    assert traffic.total == 3 * traffic.parameters


def test_choices_are_a_bit_for_each_labelled_sample():
    traffic = only(RUN.replace(method="coteaching"))
    assert (traffic.what, traffic.numbers, traffic.total) == ("choices", 20, 4 * 70)
    assert traffic.size == 1 / 8


@pytest.mark.parametrize(("update", "times"), [("together", 1), ("in_turn", 2), ("fresh_batch", 2)])
def test_peers_that_take_turns_tell_more(update, times):
    assert only(RUN.replace(update=update)).numbers == times * CLASSES * 20


def test_features_are_named_and_not_counted():
    traffic = only(RUN.replace(method="rkd:teacher=none", models=("cnn:width=4",)))
    assert (traffic.what, traffic.numbers, traffic.total, traffic.messages) == ("features", None, None, 16)


@pytest.mark.parametrize("method", ["alone", "pseudo", "selfselect", "mean_teacher", "cskd"])
def test_networks_that_learn_by_themselves_tell_nothing(method):
    assert methods.get(method).tells is None


def test_branches_of_one_trunk_tell_nothing():
    assert methods.get("one").tells is None
    assert only(RUN.replace(method="dml", models=("cnn:width=4",), branch_at="stage3")) is None


def test_the_start_of_a_training_says_it_of_every_run():
    runs = [RUN.replace(seed=1, method="dml"), RUN.replace(method="dml"), RUN.replace(method="alone", peers=2)]
    start = next(train(runs))
    each = [line and from_json(Traffic, line) for line in start.facts["traffic"]]
    assert sum(line is None for line in each) == 1
    assert [line for line in each if line] == [only(RUN)] * 2
    assert from_json(Traffic, to_json(only(RUN))) == only(RUN)


def test_a_flow_counts_the_smaller_last_batch_of_each_pass():
    flow, drawn = Flow(20, 70), [20, 20, 20, 10] * 3
    assert [flow.until(step) for step in range(13)] == [sum(drawn[:step]) for step in range(13)]


def test_nothing_is_told_before_the_burn_in():
    quiet = count(Exchange("posteriors", begins=0.5), [Flow(4, 8)], per_sample=3, parameters=7, steps=10)
    assert (quiet.messages, quiet.total, quiet.numbers) == (5, 5 * 4 * 3, 12)
