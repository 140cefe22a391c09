"""The speed benchmarks run, in their quick form, and check that both sides compute the same."""

import importlib
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from codistill import Cohort

HOME = Path(__file__).resolve().parents[1] / "benchmarks" / "speed"
CLAIMS = {"step", "independent", "study", "mimic", "memory", "inputs", "startup"}


def test_every_claim_gives_rows_of_finite_figures():
    command = [sys.executable, str(HOME), "--quick"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    rows = [json.loads(line) for line in printed if line.startswith("{")]
    assert {row["claim"] for row in rows} == CLAIMS
    assert all(math.isfinite(row[key]) and row[key] > 0 for row in rows for key in ("ours", "theirs", "ratio"))
    assert next(line for line in printed if line.startswith("|")).count("|") == 7
    assert len([line for line in printed if line.startswith("|")]) == len(rows) + 2


def test_sides_that_compute_something_else_are_refused(monkeypatch):
    monkeypatch.syspath_prepend(str(HOME))
    textbook, step = importlib.import_module("textbook"), importlib.import_module("step")
    nets = [net.double() for net in textbook.networks(["mlp:hidden=4"] * 2, (1, 8, 8))]
    x, y = torch.randn(6, 1, 8, 8, dtype=torch.float64), torch.arange(6)
    cohort = Cohort([*textbook.Textbook(nets, x, y).nets], execute="stack")
    textbook.same_gradients(textbook.Textbook(nets, x, y), cohort, step.loss_of(cohort, x, y))
    with pytest.raises(AssertionError, match="peer 0, stage1.linear.weight"):
        textbook.same_gradients(textbook.Textbook(nets, x, y, mutual=False), cohort, step.loss_of(cohort, x, y))
    with pytest.raises(AssertionError, match="peer 0, stage1.linear.weight"):
        textbook.same_gradients(textbook.Textbook(nets, x, y), cohort, 2 * step.loss_of(cohort, x, y))
