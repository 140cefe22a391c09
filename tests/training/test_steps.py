"""So many steps, in place of so many epochs."""

import pytest
import torch

from codistill.run import Run
from codistill.training.build import build_fleet
from codistill.training.loop import train
from codistill.training.records import logged, read_log

RUN = Run(
    method="codistillation:burn_in=0,exchange_every=3",
    peers=3,
    models=("cnn:width=4,view=left", "cnn:width=4,view=right", "cnn:width=4,view=quarter3"),
    shards="table:0-7/8+9/0-9",
    noise="symmetric:0.2",
    labels=90,
    unlabelled=12,
    batch=6,
    valid=40,
    epochs=4,
    steps=10,
    evaluate_every=1,
    augment=("crop:pad=1",),
    execute="stack",
)


@pytest.mark.parametrize(
    ("steps", "epochs", "ends"), [(10, 4, [3, 6, 9, 10]), (8, 4, [2, 4, 6, 8]), (3, 40, [1, 2, 3])]
)
def test_epochs_are_equal_stretches_of_the_steps(tmp_path, steps, epochs, ends):
    run = Run(models=("mlp:hidden=4",), labels=60, batch=20, steps=steps, epochs=epochs, valid=20, evaluate_every=2)
    run = run.replace(execute="loop", checkpoint_every=1)
    fleet = build_fleet([run])
    assert (fleet.total, fleet.epochs, fleet.steps) == (steps, len(ends), ends[0])
    records = list(logged(train(run, tmp_path), tmp_path))
    assert sum(record.kind == "step" for record in records) == steps
    assert {record.steps for record in records} == {steps}
    assert [record.step for record in records if record.kind == "checkpoint"] == ends
    lines = [line for line in read_log(tmp_path) if line["kind"] == "epoch"]
    assert [line["step"] for line in lines] == ends
    assert [line["epoch"] for line in lines] == list(range(1, len(ends) + 1))
    assert lines[-1]["progress"] == 1
    measured = [epoch % 2 == 0 or epoch == len(ends) for epoch in range(1, len(ends) + 1)]  # the last one always is
    assert [("valid_accuracy" in line) for line in lines] == measured


def test_the_schedule_ends_with_the_steps():
    fleet = build_fleet([Run(models=("mlp:hidden=4",), labels=60, batch=20, steps=10, epochs=4, execute="loop")])
    rates = [fleet.rate_factor(step) for step in range(10)]
    cosine = torch.tensor([0.5 * (1 + torch.cos(torch.tensor(torch.pi * step / 10))) for step in range(10)])
    torch.testing.assert_close(torch.tensor(rates), cosine)


def test_as_many_steps_as_the_epochs_have_are_the_same_training():
    run = Run(models=("mlp:hidden=4",), labels=60, batch=20, epochs=3, execute="loop", augment=("crop:pad=1",))
    (*_, one), (*_, other) = train(run), train(run.replace(steps=9))
    assert one.lines == other.lines


def test_samples_go_round_however_steps_are_cut():
    run = Run(models=("mlp:hidden=4",), labels=60, batch=20, execute="loop")
    by_epochs, by_steps = build_fleet([run]).streams, build_fleet([run.replace(steps=14, epochs=2)]).streams
    for number in range(14):
        one, other = by_epochs.draw((*divmod(number, 3), 0)), by_steps.draw((*divmod(number, 7), 0))
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_silos_with_views_are_the_same_as_a_stack_and_as_a_loop():
    run = RUN.replace(precision="float64")
    ends = [list(train(run.replace(execute=execute)))[-1].lines for execute in ("stack", "loop")]
    for one, other in zip(*ends, strict=True):
        assert one.keys() == other.keys()
        for key in ("accuracy", "nll", "kl"):
            if key in one:
                torch.testing.assert_close(torch.tensor(one[key]), torch.tensor(other[key]))


def test_noise_changes_labels_of_training_and_validation_and_nothing_else():
    clean, noisy = (build_fleet([RUN.replace(noise=noise)]).streams.parts[0] for noise in ("none", "symmetric:0.4"))
    for part in ("train", "valid", "unlabelled", "test"):
        assert torch.equal(getattr(clean, part).x, getattr(noisy, part).x)
    assert torch.equal(clean.test.y, noisy.test.y)
    changed = (clean.train.y != noisy.train.y).float().mean()
    assert 0.2 < changed < 0.6
    assert noisy.noisy == pytest.approx(float(changed))
    assert clean.noisy == 0
    assert (clean.valid.y != noisy.valid.y).any()


def test_the_log_says_how_many_labels_are_wrong(tmp_path):
    run = RUN.replace(steps=1, epochs=1)
    list(logged(train([run, run.replace(seed=1)], tmp_path), tmp_path))
    start, *_ = read_log(tmp_path)
    assert len(start["noisy_labels"]) == 2
    assert all(0 < share < 0.5 for share in start["noisy_labels"])


def test_what_steps_and_noise_cannot_be_is_said():
    with pytest.raises(ValueError, match="steps=0: give a whole number of at least 1"):
        Run(steps=0)
    with pytest.raises(ValueError, match="noise='pair:1.0' leaves none of 10 labels to class '0'|lower it"):
        build_fleet([Run(labels=10, noise="pair:0.9", batch=5)])
