"""The examples run, are short, and learn something."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def printed(name, *words):
    script = str(EXAMPLES / name)
    return subprocess.run([sys.executable, script, *words], check=True, capture_output=True, text=True).stdout


def accuracies(text):
    return [float(value) for value in re.findall(r"(\d+\.\d)% of", text)]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short_and_is_run_here(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 60
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
