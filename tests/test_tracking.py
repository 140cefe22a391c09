"""Records for TensorBoard, Weights & Biases and MLflow: what is written is what the log and the results say."""

import sys
from pathlib import Path

import pytest

from codistill import cli, tracking
from codistill.files import read_lines
from codistill.run import Run
from codistill.training.loop import resume, train
from codistill.training.records import logged, read_log

SMALL = {"data": "digits", "models": ("mlp:hidden=8",), "labels": 60, "valid": 40, "batch": 20, "evaluate_every": 1}


def run_of(**changes):
    return Run(**{**SMALL, "method": "dml", "peers": 2, "epochs": 3, **changes})


def expected(folder, run):
    """By tag, the values in order, from the files of a folder."""
    lines = [line for line in read_log(folder) if line["kind"] == "epoch" and line["run"] == run]
    found = {
        "loss/task": [sum(line["terms"]["task"]) / 2 for line in lines],
        "loss/mimic.1": [line["terms"]["mimic"][1] for line in lines],
        "valid/accuracy": [sum(line["valid_accuracy"]) / 2 for line in lines],
        "lr": [line["learning_rate"] for line in lines],
        "peers/kl": [(line["edges"][0][1] + line["edges"][1][0]) / 2 for line in lines],
    }
    number = [line["run"] for line in lines].index(run) if lines else 0
    rows = [row for row in read_lines(folder / "results.jsonl") if row["number"] == number]
    found["test/accuracy"] = [(rows[0]["accuracy"] + rows[1]["accuracy"]) / 2]
    found["test/nll.0"] = [rows[0]["nll"]]
    found["test/ensemble/accuracy"] = [next(r["accuracy"] for r in rows if r.get("networks") == 2)]
    return found


def test_tensorboard_has_what_the_log_has(tmp_path):
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs the extra tensorboard"
    )
    run = run_of()
    records = tracking.tensorboard(logged(train(run, tmp_path), tmp_path), tmp_path)
    for record in records:
        if record.kind == "epoch" and record.step == 6:
            records.close()
    rest = tracking.tensorboard(logged(resume(tmp_path), tmp_path), tmp_path)
    assert [record.kind for record in rest][-1] == "end"
    (place,) = (tmp_path / "tensorboard").iterdir()
    assert place.name == run.name.replace("/", " ")
    events = accumulator.EventAccumulator(str(place)).Reload()
    for tag, values in expected(tmp_path, run.name).items():
        assert [event.value for event in events.Scalars(tag)] == pytest.approx(values, rel=1e-6), tag
    assert [event.step for event in events.Scalars("lr")] == [3, 6, 9]
    assert [event.step for event in events.Scalars("test/accuracy")] == [9]


def test_every_run_of_a_fleet_has_its_own(tmp_path):
    written = {}

    class Kept:
        def __init__(self, run, step):
            self.values = written.setdefault(run, {})

        def write(self, step, values):
            for tag, value in values.items():
                self.values.setdefault(tag, []).append((step, value))

        def close(self):
            self.values["closed"] = True

    runs = [run_of(seed=0), run_of(seed=1)]
    for _ in tracking._followed(logged(train(runs, tmp_path), tmp_path), Kept):
        pass
    assert list(written) == [run.name for run in runs]
    assert all(values["closed"] for values in written.values())
    rows = read_lines(tmp_path / "results.jsonl")
    for number, values in enumerate(written.values()):
        own = [row["accuracy"] for row in rows if row["number"] == number and row.get("peer") is not None]
        assert values["test/accuracy"] == [(9, pytest.approx(sum(own) / 2))]


def test_tags_of_one_network_and_of_a_run_without_validation():
    line = {"learning_rate": 0.1, "seconds": 2.0, "terms": {"task": [0.5]}, "run": "alone"}
    assert tracking.epoch_values(line) == {"lr": 0.1, "time/epoch": 2.0, "loss/task": 0.5}
    assert tracking.end_values([]) == {}


@pytest.mark.parametrize("tool", sorted(tracking.TOOLS))
def test_a_tool_that_is_not_there_names_its_extra(tool, monkeypatch):
    monkeypatch.setitem(sys.modules, tool, None)
    with pytest.raises(ImportError, match=rf"{tool} .*: pip install 'codistill\[{tool}\]'"):
        tracking.tracked(iter(()), "anywhere", [tool])


def test_the_command_line_tracks(tmp_path, capsys):
    pytest.importorskip("tensorboard", reason="needs the extra tensorboard")
    words = ["train", "--runs", str(tmp_path), "--name", "one", "--track", "tensorboard", "--epochs", "1"]
    cli.main([*words, "--labels", "60", "--batch", "20", "--models", "mlp:hidden=8", "--method", "dml", "--peers", "2"])
    assert list((tmp_path / "one" / "tensorboard").glob("*/events.*"))
    assert "Report:" in capsys.readouterr().out


def test_wandb_offline(tmp_path):
    library = pytest.importorskip("wandb", reason="needs the extra wandb")
    for _ in tracking.wandb(logged(train(run_of(), tmp_path), tmp_path), tmp_path):
        pass
    library.teardown()  # else its process may still be writing
    (written,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    content = written.read_bytes()
    for tag in ("loss/task", "loss/mimic", "valid/accuracy", "test/accuracy"):
        assert tag.encode() in content


def test_mlflow_by_its_file_store(tmp_path, monkeypatch):
    library = pytest.importorskip("mlflow", reason="needs the extra mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = run_of()
    for _ in tracking.mlflow(logged(train(run, tmp_path), tmp_path), tmp_path):
        pass
    client = library.MlflowClient(tracking_uri=Path(tmp_path / "mlruns").as_uri())
    (found,) = client.search_runs([client.get_experiment_by_name("codistill").experiment_id])
    assert (found.info.run_name, found.info.status) == (run.name, "FINISHED")
    for tag, values in expected(tmp_path, run.name).items():
        assert [point.value for point in client.get_metric_history(found.info.run_id, tag)] == pytest.approx(values)
