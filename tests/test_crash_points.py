"""Wherever a process is stopped, what it was doing ends as if it had not been; all points: tests/crash_points.py."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "crash_points.py"


@pytest.mark.parametrize(
    "words", [["--methods", "dml", "--every", "3"], ["--study", "--methods", "dml", "--every", "9"]]
)
def test_every_point_is_gone_on_from(words):
    done = subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert found["lost"] == [], done.stderr
    assert found["points"] > 40
    assert done.returncode == 0
