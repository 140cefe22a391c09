"""A retraining has the labels of the first training, and nothing else that chance decides."""

import pytest
import torch

from codistill.run import Run
from codistill.training.build import build_fleet
from codistill.training.loop import train

RUN = Run(data="digits", labels=40, valid=20, unlabelled=8, models=("mlp:hidden=8",), method="dml", batch=10, epochs=1,
          augment=("crop:pad=1",), seed=3, execute="loop", device="cpu")  # fmt: skip


def fleet(**settings):
    return build_fleet([RUN.replace(**settings)])


@pytest.fixture(scope="module")
def trainings():
    return [fleet(), fleet(retraining=1), fleet(retraining=2)]


def test_the_parts_of_the_data_are_the_same(trainings):
    first, *others = (each.streams.parts[0] for each in trainings)
    for other in others:
        for part in ("train", "valid", "unlabelled"):
            torch.testing.assert_close(getattr(first, part).x, getattr(other, part).x, rtol=0, atol=0)
    assert not torch.equal(first.train.x, fleet(seed=4).streams.parts[0].train.x)


def test_initial_weights_order_and_augmentation_are_others(trainings):
    weights = [torch.cat([p.detach().flatten() for p in each.cohort.parameters()]) for each in trainings]
    inputs, numbers = zip(
        *((x, index) for x, _, index in (each.streams.draw((0, 0, 0)) for each in trainings)), strict=True
    )
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert not torch.equal(weights[a], weights[b])
        assert set(numbers[a][0, :10].tolist()) != set(numbers[b][0, :10].tolist())
        assert set(numbers[a][0, 10:].tolist()) != set(numbers[b][0, 10:].tolist())
        assert not torch.equal(inputs[a], inputs[b])


def test_it_is_the_same_whenever_it_is_trained():
    ends = [list(train(RUN.replace(retraining=1)))[-1].lines for _ in range(2)]
    assert ends[0] == ends[1]
    assert {line["retraining"] for line in ends[0]} == {1}
    assert ends[0] != list(train(RUN))[-1].lines


def test_it_is_a_fleet_of_its_own():
    with pytest.raises(ValueError, match="differ in retraining"):
        build_fleet([RUN, RUN.replace(seed=4, retraining=1)])


def test_its_name_says_so():
    assert RUN.replace(retraining=2).name == "dml/peers=2/retraining=2/seed=3"
    with pytest.raises(ValueError, match="retraining=-1"):
        RUN.replace(retraining=-1)
