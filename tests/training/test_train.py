"""Training as a generator of records."""

import copy
import json
import os
import re

import pytest
import torch
from torch import nn

from codistill import checkpoint, data
from codistill.cohort.collection import collect
from codistill.data.examples import DataSet, Examples
from codistill.data.loader import plain
from codistill.files import Damaged, append_lines, read_lines, write_lines
from codistill.run import Run
from codistill.spec import UnknownName
from codistill.study.results import networks_of
from codistill.training import records as log_files
from codistill.training.build import build_fleet
from codistill.training.loop import restored, resume, train
from codistill.training.records import Diverged, Record, cut_log, logged, read_log, thinned
from codistill.training.results import measure_networks, results
from codistill.training.state import Training

RUN = Run(
    method="dml",
    peers=2,
    models=("cnn:width=4",),
    labels=60,
    valid=50,
    batch=20,
    epochs=4,
    evaluate_every=2,
    checkpoint_every=2,
    execute="stack",
)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture
def fleets(monkeypatch):
    """Every fleet that `train` makes."""
    from codistill.training import loop as module

    made = []

    def kept(*args, **settings):
        made.append(build_fleet(*args, **settings))
        return made[-1]

    monkeypatch.setattr(module, "build_fleet", kept)
    return made


def states(fleet):
    return [{n: t.clone() for n, t in fleet.cohort.peer_state(i).items()} for i in fleet.cohort.peers]


def assert_same(one, two):
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)


# Records ------------------------------------------------------------------------------------------------------------


def test_records_come_in_order(tmp_path, digits):
    kinds = [r.kind for r in train(RUN, tmp_path, dataset=digits)]
    epoch = ["step"] * 3 + ["epoch"]
    assert kinds == ["start", *epoch, *epoch, "checkpoint", *epoch, *epoch, "checkpoint", "end"]


def test_without_a_folder_nothing_is_written(tmp_path, digits, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kinds = {r.kind for r in train(RUN, dataset=digits)}
    assert kinds == {"start", "step", "epoch", "end"}
    assert not list(tmp_path.iterdir())


def test_records_say_where_they_are_and_what_it_runs_on(digits):
    records = list(train(RUN, dataset=digits))
    assert [r.step for r in records if r.kind == "step"] == list(range(1, 13))
    assert {r.steps for r in records} == {12}
    facts = records[0].facts
    assert (facts["execute"], facts["networks"], facts["steps_per_epoch"]) == ("stack", 2, 3)
    assert records[-1].facts["passes"] == {"forward": 24, "backward": 24}


def test_a_steps_terms_are_each_peers_and_carry_no_graph(digits):
    for record in train(RUN, dataset=digits):
        for terms in record.terms:
            assert set(terms) == {"task", "mimic"}
            assert all(t.shape == (2,) and not t.requires_grad for t in terms.values())


def test_an_epochs_terms_are_the_means_over_its_steps(digits):
    steps, checked = [], 0
    for record in train([RUN, RUN.replace(method="alone")], dataset=digits):
        if record.kind == "step":
            steps.append(record.terms)
        if record.kind == "epoch":
            for member, line in enumerate(record.lines):
                for name, values in line["terms"].items():
                    mean = torch.stack([terms[member][name] for terms in steps]).mean(0)
                    assert values == pytest.approx(mean.tolist(), rel=1e-5)
                    checked += 1
            steps = []
    assert checked == 4 * 3


def test_an_epochs_lines_name_run_rate_and_progress(digits):
    runs = [RUN, RUN.replace(method="alone"), RUN.replace(seed=5)]
    epochs = [r.lines for r in train(runs, dataset=digits) if r.kind == "epoch"]
    assert [line["epoch"] for lines in epochs for line in lines] == [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3
    assert {(line["method"], line["seed"]) for line in epochs[0]} == {("dml", 0), ("alone", 0), ("dml", 5)}
    assert [lines[0]["progress"] for lines in epochs] == [0.25, 0.5, 0.75, 1.0]
    rates = [lines[0]["learning_rate"] for lines in epochs]
    assert rates == sorted(rates, reverse=True)
    assert 0.0 < rates[-1] < rates[0] < RUN.learning_rate


def test_the_validation_part_is_measured_when_it_was_asked_for(digits, fleets):
    lines = [r.lines[0] for r in train(RUN, dataset=digits) if r.kind == "epoch"]
    assert [("valid_accuracy" in line) for line in lines] == [False, True, False, True]
    found = [row.values["accuracy"] for row in results(fleets[0], "valid")[: RUN.peers]]
    assert lines[-1]["valid_accuracy"] == found


def test_the_ends_rows_are_those_of_a_plain_loop_over_the_test_set(digits, fleets):
    runs = [RUN, RUN.replace(seed=5)]
    end = list(train(runs, dataset=digits))[-1]
    (fleet,) = fleets
    place = 0
    for run in fleet.runs:
        for peer in fleet.peers_by_run[run]:
            net = fleet.cohort.network(peer).eval()
            batches = plain(digits.test, digits.mean, digits.std, 100)
            with torch.no_grad():
                hits = sum((net(x).argmax(1) == y).sum().item() for x, y in batches)
            row = end.lines[place]
            assert (row["seed"], row["peer"], row["part"], row["n"]) == (run.seed, peer % 2, "test", 797)
            assert row["accuracy"] == pytest.approx(hits / 797)
            place += 1
        assert (end.lines[place]["peer"], end.lines[place]["networks"]) == (None, 2)
        assert end.lines[place + 1]["kind"] == "pairs"
        place += 2
    assert place == len(end.lines)


def test_each_seed_is_validated_on_its_own_part(digits, fleets):
    runs = [RUN.replace(method="alone"), RUN.replace(method="alone", seed=5)]
    list(train(runs, dataset=digits))
    (fleet,) = fleets
    for row in [row.to_json() for row in results(fleet, "valid")]:
        if row["peer"] is None:
            continue
        (run,) = [r for r in fleet.runs if r.seed == row["seed"]]
        net = fleet.cohort.network(fleet.peers_by_run[run][row["peer"]])
        part = fleet.streams.parts[fleet.streams.seeds.index(run.seed)].valid
        logits = collect(type(fleet.cohort)([net]), (x for x, _ in plain(part, digits.mean, digits.std, 50)))
        assert row["accuracy"] == pytest.approx(measure_networks(logits, part.y)[0]["accuracy"])


def test_the_end_is_measured_on_the_part_that_was_asked_for(digits):
    assert list(train(RUN, dataset=digits, part=None))[-1].lines == []
    assert {(r["part"], r["n"]) for r in list(train(RUN, dataset=digits, part="valid"))[-1].lines} == {("valid", 50)}


# What training leaves alone -----------------------------------------------------------------------------------------


class Dropping(nn.Module):
    """A network that draws random numbers, and counts the times that it was run in each mode."""

    def __init__(self):
        super().__init__()
        self.fc, self.drop, self.seen = nn.Linear(64, 10), nn.Dropout(0.3), []

    def forward(self, x):
        self.seen.append(self.training)
        return self.fc(self.drop(x.flatten(1)))


def dropping(count=2):
    torch.manual_seed(0)
    return [Dropping() for _ in range(count)]


@pytest.mark.parametrize("execute", ["loop", "stack", "auto"])
def test_the_global_generator_does_not_move(execute, digits):
    nets = dropping()
    before = torch.get_rng_state()
    list(train(RUN.replace(execute=execute), dataset=digits, networks=nets))
    assert torch.equal(before, torch.get_rng_state())


def test_the_global_generator_does_not_matter(digits, fleets):
    for seed in (1, 2):
        nets = dropping()
        torch.manual_seed(seed)
        list(train(RUN, dataset=digits, networks=nets))
    assert_same(*map(states, fleets))


def test_no_network_is_left_in_eval_mode(digits):
    nets = dropping()
    for record in train(RUN.replace(execute="loop"), dataset=digits, networks=nets):
        if record.kind == "step":
            assert all(net.training and net.seen[-1] for net in nets)
    assert all(net.training for net in nets)
    assert False in nets[0].seen


def test_evaluating_on_the_way_changes_nothing_that_comes_after(digits, fleets):
    for every in (0, 1, 3):
        list(train(RUN.replace(evaluate_every=every), dataset=digits, networks=dropping()))
    for fleet in fleets[1:]:
        assert_same(states(fleets[0]), states(fleet))


def test_evaluating_by_hand_in_the_middle_of_an_epoch_changes_nothing(digits, fleets):
    for look in (False, True):
        for record in train(RUN, dataset=digits):
            if look and record.step == 5 and record.kind == "step":
                results(fleets[-1], "test")
    assert_same(*map(states, fleets))


# Folders ------------------------------------------------------------------------------------------------------------


def test_logged_writes_what_it_passes_on(tmp_path, digits):
    records = list(logged(train(RUN, tmp_path, dataset=digits), tmp_path))
    lines = read_log(tmp_path)
    assert lines[0]["kind"] == "start"
    assert lines[0]["execute"] == "stack"
    assert lines[1:] == [line for r in records if r.kind == "epoch" for line in r.lines]
    assert read_lines(tmp_path / "results.jsonl") == records[-1].lines
    assert checkpoint.read_runs(tmp_path) == [RUN.replace(data="python")]


def test_closing_saves_and_resuming_ends_as_unbroken(tmp_path, digits):
    whole = list(train(RUN, dataset=digits))[-1].lines
    records = logged(train(RUN, tmp_path, dataset=digits), tmp_path)
    for record in records:
        if record.kind == "step" and record.step == 5:
            break
    records.close()
    assert checkpoint.latest(tmp_path).name == "step-00000005"
    assert not (tmp_path / "results.jsonl").exists()
    again = list(logged(resume(tmp_path, dataset=digits), tmp_path))
    assert (again[0].kind, again[0].step) == ("start", 5)
    assert again[-1].lines == whole
    assert [line["epoch"] for line in read_log(tmp_path) if line["kind"] == "epoch"] == [1, 2, 3, 4]


def test_resuming_drops_the_lines_of_steps_that_are_done_again(tmp_path, digits):
    list(logged(train(RUN, tmp_path, dataset=digits), tmp_path))
    newest = checkpoint.latest(tmp_path)
    for file in newest.iterdir():
        file.unlink()
    newest.rmdir()
    list(logged(resume(tmp_path, dataset=digits), tmp_path))
    assert [line["epoch"] for line in read_log(tmp_path) if line["kind"] == "epoch"] == [1, 2, 3, 4]


def line(step, **more):
    return {"kind": "start", "step": step, **more}


def test_a_line_that_was_cut_short_is_left_out_and_a_damaged_one_is_said(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"kind": "a", "step": 1}\n{"kind": "b", "step": 2}\n{"kind": "a", ')
    assert read_log(tmp_path) == [{"kind": "a", "step": 1}, {"kind": "b", "step": 2}]
    append_lines(log, [])
    log.unlink()
    append_lines(log, [line(1, loss=0.25), line(2, loss=0.5)])
    assert read_log(tmp_path) == [line(1, loss=0.25), line(2, loss=0.5)]
    log.write_text(log.read_text().replace("0.25", "0.26"))
    with pytest.warns(UserWarning, match="1 of 2 lines are damaged and left out, the first is line 1"):
        assert read_log(tmp_path) == [line(2, loss=0.5)]
    assert read_lines(tmp_path / "none.jsonl") == []


@pytest.fixture
def numbered(tmp_path):
    """A log of ten epochs, with numbered lines, and these."""
    epochs = [{"kind": "epoch", "step": s, "run": "a", "method": "dml", "epoch": s} for s in range(1, 11)]
    epochs = [{**each, "terms": {}, "seconds": 0.5} for each in epochs]
    records = [Record("start", 0, 10), *(Record("epoch", each["step"], 10, lines=[each]) for each in epochs)]
    list(logged((record for record in records), tmp_path))
    assert read_log(tmp_path) == [{"kind": "start", "step": 0}, *epochs]
    return tmp_path / "log.jsonl", log_lines(tmp_path)


def log_lines(folder):
    return (folder / "log.jsonl").read_text().splitlines(keepends=True)


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ([0, 1, 2, 4, 5, 6, 7, 8, 9, 10], "1 lines are missing, the first before line 4"),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "1 lines are missing, the first before line 1"),
        ([0, 1, 5, 6, 8, 9, 10], "4 lines are missing, the first before line 3"),
        ([0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10], "1 of 12 lines are damaged and left out, the first is line 4"),
    ],
)
def test_a_missing_or_repeated_line_of_a_log_is_said(left, said, numbered, tmp_path):
    path, lines = numbered
    path.write_text("".join(lines[n] for n in left))
    with pytest.warns(UserWarning, match=said):
        assert [line["step"] for line in read_log(tmp_path)] == sorted({*left})


def test_numbers_go_on_over_a_resumption_and_a_lost_end_stays_missing(numbered, tmp_path):
    path, lines = numbered
    again = [Record("start", 8, 10), Record("rewind", 8, 10)]
    list(logged((record for record in again), tmp_path))
    assert [line["step"] for line in read_log(tmp_path)] == [*range(9), 8, 8]
    path.write_text("".join([*lines[:-1], lines[-1].replace("0.5", "0.6")]))
    list(logged((record for record in [Record("start", 10, 10)]), tmp_path))
    with pytest.warns(UserWarning, match="1 lines are missing, the first before line 11"):
        read_log(tmp_path)


def test_a_log_of_an_earlier_version_is_gone_on_with(tmp_path):
    append_lines(tmp_path / "log.jsonl", [line(1), line(2)])  # without numbers
    list(logged((record for record in [Record("start", 2, 10)]), tmp_path))
    assert [each["step"] for each in read_log(tmp_path)] == [1, 2, 2]
    path = tmp_path / "log.jsonl"
    assert [("line" in text) for text in path.read_text().splitlines()] == [False, False, True]


@pytest.mark.parametrize("length", [0, 10, 100_000])
def test_a_log_is_cut_from_its_end(tmp_path, length):
    log, lines = tmp_path / "log.jsonl", [line(step, text="x" * length) for step in range(1, 6)]
    for step in range(6):
        log.unlink(missing_ok=True)
        append_lines(log, lines)
        with log.open("a") as file:
            file.write('{"kind": "start", "st')
        cut_log(log, step)
        assert read_log(tmp_path) == lines[:step]


def test_resuming_after_twelve_thousand_epochs_reads_the_end_of_the_log(tmp_path, monkeypatch):
    read, lines = [], [{**line(step, text="x" * 200), "line": step + 1} for step in range(12_000)]
    append_lines(tmp_path / "log.jsonl", lines)
    backwards = log_files._lines_backwards
    monkeypatch.setattr(log_files, "_log_line", lambda text: read.append(text) or json.loads(text))
    assert cut_log(tmp_path / "log.jsonl", 11_989) == 11_990
    assert len(read) == 11
    with (tmp_path / "log.jsonl").open("rb") as file:
        next(backwards(file))
        assert file.seek(0, os.SEEK_END) - file.tell() <= log_files.CHUNK


@pytest.mark.parametrize(("epochs", "kept"), [(1, 1), (7, 7), (10, 10), (11, 6), (95, 10)])
def test_long_logs_are_thinned_for_plots(epochs, kept):
    lines = [{"run": run, "epoch": epoch + 1} for epoch in range(epochs) for run in "ab"]
    found = thinned(lines, most=10)
    assert len(found) == 2 * kept
    assert found[-2:] == lines[-2:]
    assert found == sorted(found, key=lines.index)


def test_results_that_are_damaged_or_fewer_are_seen(tmp_path):
    path, lines = tmp_path / "results.jsonl", [{"accuracy": 0.5}, {"accuracy": 0.25}]
    write_lines(path, lines)
    assert read_lines(path) == lines
    whole = path.read_text()
    for damaged in (whole.replace("0.25", "0.75"), whole.splitlines(keepends=True)[0], whole[:-1], "[1]\n", "{\n"):
        path.write_text(damaged)
        with pytest.raises(Damaged, match="results.jsonl"):
            read_lines(path)


def test_settings_that_do_not_fit_leave_no_folder_behind(tmp_path, digits):
    with pytest.raises(ValueError, match="labels=5000"):
        next(train(RUN.replace(labels=5000), tmp_path / "run", dataset=digits))
    assert not (tmp_path / "run").exists()
    list(train(RUN.replace(epochs=1), tmp_path / "run", dataset=digits))


def test_resuming_with_other_settings_is_refused(tmp_path, digits):
    list(train(RUN.replace(epochs=1), tmp_path, dataset=digits))
    with pytest.raises(ValueError, match="holds other runs than these"):
        next(train(RUN, tmp_path, dataset=digits, resume=True))
    with pytest.raises(ValueError, match="resume=True needs the folder"):
        next(train(RUN, resume=True))
    with pytest.raises(FileNotFoundError, match="is not the folder of a run"):
        next(resume(tmp_path / "nowhere"))


def test_a_restored_fleet_gives_the_results_of_the_run(tmp_path, digits):
    end = list(train(RUN, tmp_path, dataset=digits))[-1]
    assert [row.to_json() for row in results(restored(tmp_path, dataset=digits), "test")] == end.lines
    with pytest.raises(FileNotFoundError, match="is not the folder of a run"):
        restored(tmp_path / "nowhere")
    checkpoint.write_runs(tmp_path / "fresh", [RUN])
    with pytest.raises(FileNotFoundError, match="has no checkpoint yet: codistill resume"):
        restored(tmp_path / "fresh", dataset=digits)


def test_your_own_networks_come_back_from_a_folder(tmp_path, digits):
    end = list(train(RUN, tmp_path, dataset=digits, networks=dropping()))[-1]
    fleet = restored(tmp_path, dataset=digits, networks=dropping())
    assert [row.to_json() for row in results(fleet, "test")] == end.lines
    assert isinstance(fleet.cohort.network(1), Dropping)


# One's own networks, data and modules -------------------------------------------------------------------------------


def test_your_own_networks_are_trained_in_a_loop_themselves(digits):
    nets = dropping()
    before = copy.deepcopy(nets)
    list(train(RUN.replace(execute="loop"), dataset=digits, networks=nets))
    assert not torch.equal(nets[1].fc.weight, before[1].fc.weight)


def test_your_own_data_takes_the_place_of_the_named(fleets):
    torch.manual_seed(0)
    x = torch.rand(64, 3, 6, 6)
    y = torch.arange(64) % 2
    x[y == 1, 0] += 1.0
    own = DataSet(Examples(x[:40], y[:40]), Examples(x[40:], y[40:]), 2, "classes", (0.5,) * 3, (0.5,) * 3, ())
    run = Run(peers=2, models=("mlp:hidden=16",), batch=10, epochs=15, execute="loop", data="mine")
    end = list(train(run, dataset=own))[-1]
    assert end.lines[0]["n"] == 24
    assert all(row["accuracy"] > 0.9 for row in end.lines if row["networks"])


MODULE = '''
from torch import nn
from codistill.methods.dml import DML
from codistill.data.digits import digits

def net(classes, shape, hidden=8):
    """A network of one's own."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, classes))

class Mine(DML):
    """A method of one's own."""
    title = "Mine"

def some(root):
    return digits()
'''


def test_a_module_of_your_own_is_named_by_its_spec(tmp_path, monkeypatch, fleets):
    (tmp_path / "my_own.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    run = RUN.replace(models=("my_own:net,hidden=5",), method="my_own:Mine,weight=0.5", data="my_own:some")
    list(train(run))
    (fleet,) = fleets
    assert fleet.cohort.peer_state(0)["1.weight"].shape == (5, 64)
    assert fleet.members[0].method.weight == 0.5
    assert fleet.members[0].method.title == "Mine"


# Diverging ----------------------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_names_run_peer_term_and_fix(digits):
    nets = dropping(3)
    with torch.no_grad():
        nets[1].fc.weight[0, 0] = float("nan")
    run = RUN.replace(peers=3, method="alone", learning_rate=0.05, seed=7)
    words = r"seed=7: the task loss of peer 1 is nan in step 1 .epoch 1., samples [ 0-9.()]+: lower learning_rate=0.05"
    with pytest.raises(Diverged, match=words):
        list(train(run.replace(evaluate_every=0), dataset=digits, networks=nets))


def test_a_run_that_diverges_touches_no_other(digits):
    """0 * nan is nan, so the runs side by side must not meet in a sum."""
    runs = [RUN.replace(method="alone", evaluate_every=0), RUN.replace(evaluate_every=0)]
    nets = dropping(4)
    with torch.no_grad():
        nets[1].fc.weight[0, 0] = float("nan")
    record = next(r for r in train(runs, dataset=digits, networks=nets) if r.kind == "step")
    assert record.terms[0]["task"].isnan().tolist() == [False, True]
    assert not any(t.isnan().any() for t in record.terms[1].values())


@pytest.mark.parametrize("epochs", [1, 4])
def test_a_rate_that_is_far_too_high_ends_in_an_error_and_not_in_nan(epochs, digits):
    with pytest.raises(Diverged, match=r"nan|inf|no longer a number") as error:
        list(train(RUN.replace(learning_rate=1e9, epochs=epochs, evaluate_every=0), dataset=digits))
    assert re.search(r"dml/peers=2/seed=0: .*peer \d .*lower learning_rate=1e\+09", str(error.value))


def test_results_are_strict_json(digits):
    lines = list(train(RUN, dataset=digits))[-1].lines
    json.dumps(lines, allow_nan=False)


def test_a_record_needs_only_its_kind_and_place():
    assert Record("start", 0, 3).terms == []
    assert Training.__doc__


def test_the_average_of_the_weights_is_what_is_evaluated_and_survives_a_restart(tmp_path):
    run = RUN.replace(average=0.9, evaluate_every=0, epochs=2, checkpoint_every=1)
    training, naive = None, None

    training = Training(build_fleet([run]), None)
    naive = states(training.fleet)
    for step in range(6):
        training.advance()
        decay = min(0.9, (1 + step) / (10 + step))
        for old, new in zip(naive, states(training.fleet), strict=True):
            for name, value in new.items():
                learnt = value.is_floating_point() and "running" not in name
                old[name] = decay * old[name] + (1 - decay) * value if learnt else value
    for peer, expected in enumerate(naive):
        for name, value in training.fleet.delivered.peer_state(peer).items():
            torch.testing.assert_close(value, expected[name])
    assert results(training.fleet, "test") != results(
        Training(build_fleet([run.replace(average=0.0)]), None).fleet, "test"
    )

    *_, whole = train(run, tmp_path / "whole")
    records = train(run, tmp_path / "cut")
    while next(records).step < 4:
        pass
    records.close()
    *_, resumed = resume(tmp_path / "cut")
    assert resumed.lines == whole.lines == [row.to_json() for row in results(restored(tmp_path / "cut"), "test")]
    *_, last = train(run.replace(average=0.0))
    assert [row["nll"] for row in last.lines[:2]] != [row["nll"] for row in whole.lines[:2]]


def accuracies(records):
    """Each epoch's validation accuracy of every network, where there is one."""
    return [r.lines[0]["valid_accuracy"] for r in records if r.kind == "epoch" and "valid_accuracy" in r.lines[0]]


@pytest.mark.parametrize("average", [0.0, 0.5])
def test_each_network_is_delivered_as_it_was_at_its_best_on_validation_data(average):
    training = Training(build_fleet([RUN.replace(keep="best_valid", evaluate_every=1, average=average)]), None)
    fleet, best, naive = training.fleet, [-1.0, -1.0], [{}, {}]
    for _ in range(fleet.epochs):
        for _ in range(fleet.steps):
            training.advance()
        for peer, accuracy in enumerate(training.finish_epoch()[0]["valid_accuracy"]):
            if accuracy > best[peer]:
                best[peer] = accuracy
                naive[peer] = {name: t.clone() for name, t in fleet.current.peer_state(peer).items()}
    for peer, expected in enumerate(naive):
        for name, value in fleet.delivered.peer_state(peer).items():
            assert torch.equal(value, expected[name]), (peer, name)
    assert [r.values["accuracy"] for r in networks_of(results(fleet, "valid"))] == best


def test_choosing_the_best_epoch_changes_no_step_and_of_equal_epochs_takes_the_first(fleets):
    run = RUN.replace(models=("mlp:hidden=8",), evaluate_every=1, learning_rate=1e-9)  # changes no prediction
    kept, last = (accuracies(train(run.replace(keep=keep))) for keep in ("best_valid", "last"))
    assert kept == last == [kept[0]] * run.epochs
    for peer, (one, other) in enumerate(zip(*map(states, fleets), strict=True)):
        assert all(torch.equal(one[name], other[name]) for name in one), peer
    training = Training(build_fleet([run]), None)
    for _ in range(training.fleet.steps):
        training.advance()
    for peer, first in enumerate(states(training.fleet)):
        best = fleets[0].delivered.peer_state(peer)
        assert all(torch.equal(first[name], best[name]) for name in first), peer


def test_the_last_epoch_is_validated_where_the_best_is_chosen():
    found = accuracies(train(RUN.replace(keep="best_valid", evaluate_every=3)))
    assert len(found) == 2  # of four epochs, the third and the last
    with pytest.raises(ValueError, match="with valid=50 and evaluate_every=0: set valid=50, evaluate_every=1"):
        next(train(RUN.replace(keep="best_valid", evaluate_every=0)))
    with pytest.raises(ValueError, match="with valid=0 and evaluate_every=2: set valid=0.1, evaluate_every=2"):
        next(train(RUN.replace(keep="best_valid", valid=0.0, evaluate_every=2)))


@pytest.mark.parametrize("step", [4, 6, 7])
def test_the_best_weights_survive_a_restart_bit_for_bit(tmp_path, step):
    run = RUN.replace(keep="best_valid", evaluate_every=1, learning_rate=1.0, checkpoint_every=1)
    *_, whole = train(run, tmp_path / "whole")
    records = train(run, tmp_path / "cut")
    while next(records).step < step:
        pass
    records.close()
    *_, resumed = resume(tmp_path / "cut")
    assert resumed.lines == whole.lines == [row.to_json() for row in results(restored(tmp_path / "cut"), "test")]
    best = [checkpoint.load(checkpoint.latest(tmp_path / name)).delivered for name in ("whole", "cut")]
    assert all(torch.equal(best[0][name], best[1][name]) for name in best[0])
    assert best[0].keys() == best[1].keys()
    *_, last = train(run.replace(keep="last"))
    assert [row["nll"] for row in last.lines[:2]] != [row["nll"] for row in whole.lines[:2]]


def test_labels_are_smoothed_whatever_the_method():
    *_, plain = (r for r in train(RUN.replace(evaluate_every=0, epochs=1), part=None) if r.kind == "epoch")
    *_, smooth = (
        r for r in train(RUN.replace(evaluate_every=0, epochs=1, smoothing=0.2), part=None) if r.kind == "epoch"
    )
    *_, same = (
        r
        for r in train(RUN.replace(method="alone:label_smoothing=0.2", evaluate_every=0, epochs=1), part=None)
        if r.kind == "epoch"
    )
    *_, alone = (
        r
        for r in train(RUN.replace(method="alone", smoothing=0.2, evaluate_every=0, epochs=1), part=None)
        if r.kind == "epoch"
    )
    assert smooth.lines[0]["terms"]["task"] != plain.lines[0]["terms"]["task"]
    assert same.lines[0]["terms"] == alone.lines[0]["terms"]


@pytest.mark.parametrize(
    ("given", "near"), [({"method": "dlm"}, "dml"), ({"data": "digit"}, "digits"), ({"models": ("cnnn",)}, "cnn")]
)
def test_misspelt_names_are_answered_before_anything_is_made(given, near, tmp_path, monkeypatch):
    monkeypatch.setattr("codistill.data.load", None)
    with pytest.raises(UnknownName, match=f"did you mean '{near}'"):
        next(train(RUN.replace(**given), tmp_path / "run"))
    assert not list(tmp_path.glob("run/*"))
