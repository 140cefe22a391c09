"""What is no longer a number: said with its samples, skipped, gone back from, or left out of a study."""

import io
import math

import pytest
import torch
from rich.console import Console
from torch import nn

from codistill import checkpoint, study as studies
from codistill.cli.finish import write_report_of
from codistill.data.digits import digits as load_digits
from codistill.files import Damaged
from codistill.losses.labels.cross_entropy import cross_entropy
from codistill.run import Run
from codistill.study import Row, Study
from codistill.training.decisions import Decisions
from codistill.training.finite import Watch, lost_weights
from codistill.training.learnt import (
    Doubt,
    Ended,
    above_chance,
    doubts,
    guessing_costs,
    nothing_learnt,
    read_doubts,
    write_doubts,
)
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
    assert said.startswith("alone/peers=2/seed=0: the task loss of peer 1 is nan in step 8 (epoch 3), samples ")
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
    assert "the task loss of peer 1 is nan in step 8" in back[0].facts["why"]
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
    for accuracies, peers in (([0.1, bound - 0.01], (0, 1)), ([0.1, bound + 0.01], (0,)), ([0.9, 0.8], None)):
        found = doubts([Ended("r", 0, decided=decided(accuracies, labels)[0])], math.log(10))
        assert [(doubt.kind, doubt.peers) for doubt in found] == ([] if peers is None else [("chance", peers)])
    assert doubts([Ended("r", 0, decided=decided([0.1], labels)[0])], 2.3)[0].text.endswith(
        "right for 10.0 % of the examples"
    )


@pytest.mark.parametrize(
    ("accuracies", "nothing"),
    [
        ([0.1, 0.12], True),
        ([0.1, 0.9], False),  # one has learnt
        ([0.13, 0.13], False),  # each a little above chance, both together beyond it
        ([0.1] * 39 + [0.13], True),  # the best of many at chance
        ([0.1] * 39 + [0.2], False),
    ],
)
def test_whether_nothing_was_learnt_is_judged_of_all_networks_together(accuracies, nothing):
    labels = torch.arange(500) % 10  # one standard deviation is 0.0134
    assert nothing_learnt(above_chance(decided(accuracies, labels)[0], len(accuracies))) is nothing


def test_networks_whose_loss_has_exploded_have_learnt_nothing():
    labels = torch.arange(500) % 10
    each = decided([0.1, 0.9], labels)[0]
    assert above_chance(each, 2, exploded=[1]) == pytest.approx([0.0])
    assert nothing_learnt(above_chance(each, 2, exploded=[1]))
    assert not nothing_learnt(above_chance(None, 2, exploded=[1]))  # what embeddings are worth is not known here
    assert nothing_learnt(above_chance(None, 2, exploded=[0, 1]))


def test_a_loss_that_has_exploded_or_risen_is_said():
    guessing = math.log(10)
    last = [2.0, 10.1 * guessing, 9.9 * guessing, 2.9, 2.8]
    found = doubts([Ended("r", 3, [2.3, 2.3, 2.3, 2.3, 2.3], last)], guessing)
    assert [(doubt.kind, doubt.number, doubt.peers, doubt.value) for doubt in found] == [
        ("exploded", 3, (1,), last[1]),
        ("risen", 3, (2, 3), last[2]),
    ]
    assert str(found[1]).startswith("r, peers 2 3: the task loss ended above where it began, at 22.8 after 2.3 in the")
    assert doubts([Ended("r", 0, [0.01], [0.2])], guessing) == []  # noise of a loss that is nearly 0
    assert doubts([Ended("r", 0, [], [5.0])], guessing) == []  # of an older checkpoint


def test_what_guessing_costs():
    for task, classes, expected in (
        ("classes", 10, math.log(10)),
        ("binary", 1, math.log(2)),
        ("tokens", 50, math.log(50)),
    ):
        assert guessing_costs(task, classes) == pytest.approx(expected)
    z, y = torch.zeros(1, 4, 7), torch.zeros(4, 7)
    assert guessing_costs("multilabel", 7) == pytest.approx(cross_entropy(z, y, task="multilabel").item())


def test_doubts_are_kept_in_a_file(tmp_path):
    found = [Doubt("risen", "r", 0, (1,), "why", 2.5)]
    write_doubts(tmp_path, found)
    assert read_doubts(tmp_path) == found
    text = (tmp_path / "doubts.json").read_text()
    (tmp_path / "doubts.json").write_text(text.replace("2.5", "3.5"))
    with pytest.raises(Damaged, match=r"doubts\.json"):
        read_doubts(tmp_path)
    write_doubts(tmp_path, [])
    assert read_doubts(tmp_path) == [] == list(tmp_path.iterdir())


def test_a_resumed_run_knows_where_its_loss_began(dataset, tmp_path):
    run = RUN.replace(peers=1, epochs=3, checkpoint_steps=0, checkpoint_every=1)
    records = train(run, tmp_path, dataset=dataset)
    for record in records:
        if record.kind == "checkpoint":
            break
    records.close()
    first = record.step
    *_, end = resume(tmp_path, dataset=dataset)
    saved = checkpoint.newest_whole(tmp_path)[1].facts["task"][run.name]
    assert first < end.step
    assert len(saved) == 2
    assert saved[0] > saved[1] > [0.0]


class Lost(nn.Module):
    """Predicts nothing of its input, and cannot learn to."""

    def __init__(self, softmax=False):
        super().__init__()
        self.fc, self.softmax = nn.Linear(64, 10), softmax

    def forward(self, x):
        z = self.fc(0 * x.flatten(1))
        return z.softmax(-1) if self.softmax else z


def test_a_comparison_keeps_and_shows_what_to_doubt(dataset, tmp_path):
    study = Study("lost", RUN.replace(epochs=2, checkpoint_steps=0), (Row("dml"),), seeds=(0, 1))
    with pytest.warns(UserWarning, match="sum to 1 already"):
        records = list(studies.compare(study, tmp_path, dataset=dataset, networks=[lambda: Lost(True), Lost]))
    summary = studies.Summary.read(tmp_path / "summary.json")
    assert records[-1].facts["nothing_learnt"]
    assert summary.nothing_learnt
    kinds = {(doubt.kind, doubt.method): doubt for doubt in summary.doubts}
    outputs = kinds["outputs", "dml:peers=2"]
    assert (outputs.networks, outputs.of, outputs.seeds, outputs.peers) == (2, 4, (0, 1), (0,))
    assert kinds["chance", "dml:peers=2"].networks == 4
    printed = io.StringIO()
    console = Console(file=printed, width=200)
    write_report_of(tmp_path, console)
    said = "DML, 2 networks, 2 of 4 networks (seeds 0 1, peer 0): the outputs sum to 1 already"
    assert f"Warning: {said}" in printed.getvalue()
    assert f"**Warning:** {said}" in (tmp_path / "report.md").read_text()
    assert f'<p class="doubt"><b>Warning.</b> {said}' in (tmp_path / "report.html").read_text()
    part = next(path.parent for path in (tmp_path / "parts").glob("*/doubts.json"))
    write_report_of(part, console)
    assert "dml/peers=2/seed=0, peer 0: the outputs sum to 1 already" in (part / "report.html").read_text()


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
