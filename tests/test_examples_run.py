"""The examples run, are short, and learn something."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def printed(name, *words, beside=(), warnings="error"):
    """What an example prints; a warning is an error unless told otherwise; modules in some folders go before others."""
    path = os.pathsep.join(map(str, filter(None, [*beside, *sys.path])))
    words = [sys.executable, "-W", warnings, str(EXAMPLES / name), *words]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False)
    assert not done.returncode, done.stderr
    return done.stdout


def accuracies(text):
    return [float(value) for value in re.findall(r"(\d+\.\d)% of", text)]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short_and_is_run_here(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert re.search("# The lines? that makes? the difference", text)
    assert f'"{path.name}"' in Path(__file__).read_text(encoding="utf-8")


def test_a_loop_of_your_own():
    found = accuracies(printed("plain_loop.py", "6"))
    assert len(found) == 3
    assert min(found) > 75.0
    assert "codistill.training.loop" not in (EXAMPLES / "plain_loop.py").read_text(encoding="utf-8")


def test_your_own_data_and_going_on_with_it(tmp_path):
    text = printed("own_data.py", str(tmp_path / "bars"), "12")
    assert len(accuracies(text)) == 5
    assert re.search(r"^a new image: (horizontal|vertical|cross) \(\d+%\)$", text, re.M)
    made = {path.name for path in (tmp_path / "bars").iterdir()}
    assert made >= {"log.jsonl", "results.jsonl", "report.html", "networks.json"}
    assert min(accuracies(text)) > 75.0
    again = printed("own_data.py", str(tmp_path / "bars"), "12")
    assert accuracies(again) == accuracies(text)
    assert "step 1 of" not in again


@pytest.mark.parametrize(
    ("name", "library", "epochs"),
    [("lightning_module.py", "pytorch_lightning", "5"), ("accelerate_loop.py", "accelerate", "5")],
)
def test_loops_of_other_libraries(name, library, epochs):
    pytest.importorskip(library, reason=f"needs {library}")
    itself = "default" if library == "pytorch_lightning" else "error"  # it uses what torch 2.13 warns of
    found = accuracies(printed(name, epochs, warnings=itself))
    assert len(found) == 2
    assert min(found) > 80.0


def test_the_trainer_of_transformers(tmp_path):
    pytest.importorskip("transformers", reason="needs the extra hf")
    pytest.importorskip("accelerate", reason="the Trainer needs accelerate")
    found = accuracies(printed("hf_trainer.py", str(tmp_path), "4"))
    assert len(found) == 2
    assert min(found) > 75.0


TIMM = """
from torch import nn

def create_model(name, pretrained=False, num_classes=1000, in_chans=3):
    width = {"resnet18": 16, "mobilenetv3_small_100": 8}[name]
    return nn.Sequential(
        nn.Conv2d(in_chans, width, 3, 4), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(4), nn.Flatten(),
        nn.Linear(16 * width, num_classes),
    )
"""


def test_networks_of_timm_by_a_stand_in_as_timm_has_no_build_beside_this_torch(tmp_path):
    (tmp_path / "timm.py").write_text(TIMM, encoding="utf-8")
    found = accuracies(printed("timm_networks.py", "6", beside=[tmp_path]))
    assert len(found) == 2
    assert min(found) > 50.0


@pytest.mark.parametrize(
    ("name", "before", "gain"),
    [("semi_supervised.py", 75.0, -2.0), ("silos.py", 40.0, 8.0), ("distillation.py", 60.0, 5.0)],
)
def test_what_others_know_helps(name, before, gain, tmp_path):
    # with the same few labels for all, one seed says little: benchmarks/results/few_labels.md has ten
    folder = [str(tmp_path / "cohort")] if name == "distillation.py" else []
    alone, mutual = accuracies(printed(name, *folder))
    assert alone > before
    assert mutual > alone + gain


def test_the_notebook_trains_compares_and_plots():
    text = (EXAMPLES / "notebook.py").read_text(encoding="utf-8")
    cells = re.split(r"^# %%", text, flags=re.M)[1:]
    assert sum(cell.startswith(" [markdown]") for cell in cells) >= 3
    assert all(
        line.startswith("#") for cell in cells if cell.startswith(" [m") for line in cell.strip().splitlines()[1:]
    )
    said = printed("notebook.py")
    assert len(re.findall(r"^epoch +\d+: (\d+\.\d%, ){3}", said, re.M)) == 10
    alone, mutual, pooled = accuracies(said)
    assert mutual > alone + 5.0
    assert pooled > alone + 5.0


@pytest.mark.parametrize(("told", "code", "queued"), [(True, 143, "requeue 7_2\n"), (False, 0, ""), (False, 1, "")])
def test_an_interrupted_task_of_a_slurm_array_is_queued_again(told, code, queued, tmp_path):
    """SLURM and the command are stand-ins: tried is who gets the signal, and which exit code is answered how."""
    codistill = f'#!/bin/bash\ntrap "exit 143" TERM\necho "$@" > {tmp_path}/begun\n'
    codistill += "while :; do sleep 0.02; done" if told else f"exit {code}"
    scontrol = f'#!/bin/bash\necho "$@" >> {tmp_path}/queued'
    for name, text in (("codistill", codistill), ("scontrol", scontrol)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "queued").touch()
    about = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "2", "SLURM_SUBMIT_DIR": "/there"}
    environment = {**os.environ, **about, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    job = subprocess.Popen(["bash", str(EXAMPLES / "slurm_array.sbatch"), "--quick"], env=environment)
    if told:
        deadline = time.monotonic() + 60
        while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        job.terminate()  # the shell alone
    assert job.wait(60) == code
    assert (tmp_path / "queued").read_text() == queued
    assert "--runs /there/runs" in (tmp_path / "begun").read_text()
    assert (tmp_path / "begun").read_text().endswith("--quick\n")
