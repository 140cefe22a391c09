"""What is no longer a number: said with its samples, skipped, gone back from, or left out of a study."""

import io
import math

import pytest
import torch
from torch import nn

from codistill import checkpoint, study as studies
from codistill.cli.finish import write_report_of
from codistill.data.digits import digits as load_digits
from codistill.run import Run
from codistill.study import Row, Study
from codistill.training.decisions import Decisions
from codistill.training.finite import Watch, lost_weights
from codistill.training.learnt import doubts
from codistill.training.loop import resume, train
from codistill.training.records import Diverged, logged, read_log

RUN = Run(labels=60, batch=20, models=("mlp:hidden=4",), epochs=4, execute="loop", checkpoint_steps=1, method="alone")
STEPS = 3  # of an epoch


class Breaking(nn.Module):
    """A network whose loss is no number in one of its training passes."""

    def __init__(self, at):
        super().__init__()
        self.fc, self.at, self.passes = nn.Linear(64, 10), at, 0

    def forward(self, x):
        self.passes += self.training
        z = self.fc(x.flatten(1))
        return z * math.nan if self.training and self.passes == self.at else z


def networks(at, peers=2):
    torch.manual_seed(0)
    return [nn.Sequential(nn.Flatten(), nn.Linear(64, 10)) for _ in range(peers - 1)] + [Breaking(at)]


@pytest.fixture(scope="module")
def dataset():
    from pathlib import Path

    return load_digits(Path())


def test_a_run_stops_with_the_checkpoint_from_before(dataset, tmp_path):
    with pytest.raises(Diverged) as error:
        list(logged(train(RUN, tmp_path, networks=networks(8), dataset=dataset), tmp_path))
    said = str(error.value)
    assert said.startswith("alone/peers=2/seed=0: the task term of peer 1 is nan in step 8 (epoch 3), samples ")
    assert error.value.__notes__ == [f"the checkpoint before is {tmp_path}/checkpoints/step-00000007"]
    _, saved = checkpoint.newest_whole(tmp_path)
    assert saved.facts["step"] == 7
    assert all(tensor.isfinite().all() for tensor in saved.peers.values())
    numbers = said.partition("samples ")[2].partition(":")[0].split()
    assert len(numbers) == 12  # ten of twenty, "..." and how many
    assert numbers[-1] == "(20)"


def test_a_step_is_skipped_as_if_it_had_not_been(dataset):
    run = RUN.replace(on_divergence="skip", checkpoint_steps=0)
    nets = networks(8)
    records = list(train(run, networks=nets, dataset=dataset, part=None))
    assert sum(r.kind == "step" and not r.terms[0] for r in records) == 1
    assert [r.lines[0].get("passed_over") for r in records if r.kind == "epoch"] == [None, None, 1, 1]
    assert all(p.isfinite().all() for net in nets for p in net.parameters())


def test_many_skipped_steps_one_after_the_other_are_an_error(dataset):
    class Lost(Breaking):
        def forward(self, x):
            z = self.fc(x.flatten(1))
            return z * math.nan if self.training else z

    run = RUN.replace(on_divergence="skip", checkpoint_steps=0, epochs=10, peers=1)
    with pytest.raises(Diverged, match="20 steps one after the other were skipped"):
        list(train(run, networks=[Lost(0)], dataset=dataset))


@pytest.mark.parametrize("saves", [0, 1])
def test_rewinding_goes_back_and_passes_the_step_over(saves, dataset, tmp_path):
    run = RUN.replace(on_divergence="rewind", checkpoint_steps=saves, checkpoint_every=0)
    records = list(logged(train(run, tmp_path, networks=networks(8), dataset=dataset), tmp_path))
    back = [r for r in records if r.kind == "rewind"]
    assert [r.step for r in back] == [7 if saves else 0]
    assert "the task term of peer 1 is nan in step 8" in back[0].facts["why"]
    assert records[-1].step == 4 * STEPS
    log = read_log(tmp_path)
    assert [line["epoch"] for line in log if line["kind"] == "epoch"] == [1, 2, 3, 4]
    assert log[-1]["rewinds"] == log[-1]["passed_over"] == 1
    _, saved = checkpoint.newest_whole(tmp_path)
    assert saved.facts["passed_over"] == [7]


def test_an_error_leaves_a_checkpoint_where_the_state_is_sound(dataset, tmp_path, monkeypatch):
    from codistill.training.streams import Streams

    draw = Streams.draw

    def unreadable(self, where, view=0):
        if where[:2] == (2, 1):
            raise ValueError("cat.png cannot be read")
        return draw(self, where, view)

    run = RUN.replace(checkpoint_steps=0, checkpoint_every=0)
    whole = list(train(run, dataset=dataset))[-1].lines
    with monkeypatch.context() as patch:
        patch.setattr(Streams, "draw", unreadable)
        with pytest.raises(ValueError, match="cat.png") as error:
            list(logged(train(run, tmp_path, dataset=dataset), tmp_path))
    assert error.value.__notes__ == [f"step 7 was saved: codistill resume {tmp_path}"]
    assert checkpoint.latest(tmp_path).name == "step-00000007"
    assert list(logged(resume(tmp_path, dataset=dataset), tmp_path))[-1].lines == whole


def test_an_error_in_the_middle_of_a_step_leaves_none(dataset, tmp_path):
    class Failing(Breaking):
        def forward(self, x):
            self.passes += self.training
            if self.passes == 8:
                raise RuntimeError("in a network")
            return self.fc(x.flatten(1))

    with pytest.raises(RuntimeError, match="in a network") as error:
        list(train(RUN.replace(checkpoint_steps=0, peers=1), tmp_path, networks=[Failing(0)], dataset=dataset))
    assert not hasattr(error.value, "__notes__")
    assert checkpoint.latest(tmp_path) is None


def test_a_study_goes_on_without_what_diverges_and_says_so(tmp_path):
    high = Row("dml:weight=1e38")
    study = Study(
        "one lost", RUN.replace(epochs=2, checkpoint_steps=0), (high, Row("dml")), seeds=(0, 1, 2), quick=True
    )
    records = list(studies.compare(study, tmp_path))
    summary = studies.Summary.from_dict(records[-1].facts)
    assert [row.method for row in summary.rows if row.alone] == ["alone"]
    assert {row.method for row in summary.rows} == {"alone", "dml:peers=2"}
    assert any("diverged in 3 of 3 seeds (0, 1, 2), which are left out" in note for note in summary.notes)
    from rich.console import Console

    write_report_of(tmp_path, Console(file=io.StringIO(), width=200))
    assert "diverged in 3 of 3 seeds" in (tmp_path / "report.md").read_text()


def test_a_watch_names_the_first_bad_step():
    watch = Watch()
    for step, value in enumerate([1.0, 2.0, math.inf, math.nan]):
        watch.add(step, [{"task": torch.tensor([1.0, value])}])
    assert watch.found()[0] == 2
    assert watch.found()[0] == 3
    assert watch.found() is None


def test_weights_that_are_no_numbers_are_found(dataset):
    from codistill.training.build import build_fleet

    fleet = build_fleet([RUN.replace(peers=3)], dataset=dataset)
    assert not list(lost_weights(fleet))
    with torch.no_grad():
        next(iter(fleet.cohort.network(1).parameters())).view(-1)[3] = math.inf
    assert [what for _, what in lost_weights(fleet)] == ["a weight of peer 1 is nan or infinite"]


# Nothing learnt -----------------------------------------------------------------------------------------------------


def decided(accuracies, labels):
    right = [torch.arange(len(labels)) < round(a * len(labels)) for a in accuracies]
    return {0: Decisions(torch.stack([torch.where(r, labels, (labels + 1) % 10) for r in right]), labels)}


def test_accuracies_at_chance_are_said():
    labels = torch.arange(500) % 10
    bound = 0.1 + 2 * math.sqrt(0.1 * 0.9 / 500)
    for accuracies, nothing in (([0.1, bound - 0.01], True), ([0.1, bound + 0.01], False), ([0.9, 0.8], None)):
        found = doubts([], decided(accuracies, labels), 10)
        assert [doubt.nothing for doubt in found] == ([] if nothing is None else [nothing])


def test_a_loss_that_has_exploded_is_said():
    line = {"run": "r", "terms": {"task": [2.0, 10.1 * math.log(10), 9.9 * math.log(10)]}}
    assert [doubt.text.split(":")[1].strip()[:31] for doubt in doubts([line], {}, 10)] == [
        "the task term of peer 1 ended a"
    ]


def test_outputs_that_cannot_be_learnt_from(dataset):
    class Net(nn.Module):
        def __init__(self, end):
            super().__init__()
            self.fc, self.end = nn.Linear(64, 10), end

        def forward(self, x):
            return self.end(self.fc(x.flatten(1)))

    run = RUN.replace(peers=1, checkpoint_steps=0)
    with pytest.raises(ValueError, match="the outputs have no gradient, so nothing can be learnt: return logits"):
        next(train(run, networks=[Net(lambda z: nn.functional.one_hot(z.argmax(-1), 10).float())], dataset=dataset))
    with pytest.warns(UserWarning, match="sum to 1 already: return logits, without a softmax at the end"):
        next(train(run, networks=[Net(lambda z: z.softmax(-1))], dataset=dataset))
