"""What a training will need, and how its progress is told."""

import io
import json

import pytest
import torch
from rich.console import Console
from rich.progress import Progress

from codistill.report.estimate import Estimator, amount, duration, said_of
from codistill.report.progress import Display, line_of, watch
from codistill.run import Run
from codistill.training.records import Record

SIZES = {"train": 64, "valid": 0, "rest": 0, "test": 9, "classes": 3, "steps_per_epoch": 10, "steps": 100}
FACTS = {
    **{"execute": "loop", "timing": {}, "networks": 2, "parameters": [1000], "device": "cpu", "seeds": [0]},
    **{"settings": Run(batch=16).as_dict(), "sizes": SIZES},
}


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def step(number, steps=100):
    return Record("step", number, steps, terms=[{"task": torch.ones(2)}])


def estimates(facts, steps=100, seconds=2.0):
    """Every estimate that so many records come to, where each step takes so many seconds, and the first two more."""
    clock = Clock()
    estimator = Estimator(clock)
    found = [estimator.see(Record("start", 0, steps, facts=facts))]
    for number in range(1, min(steps, 12) + 1):
        clock.now += seconds if number > 2 else 50.0
        found.append(estimator.see(step(number, steps)))
    return [each for each in found if each]


def test_the_first_steps_are_not_timed_and_the_rest_is_scaled():
    (one,) = estimates(FACTS)
    assert one.seconds == one.part == pytest.approx(200.0)
    assert one.disk == 2 * 2 * 1000 * 4 * 2  # two checkpoints of two networks in float32, each with a moment
    (part,) = estimates({**FACTS, "work": 0.25, "parts": 4, "all_networks": 8})
    assert (part.seconds, part.part) == (pytest.approx(800.0), pytest.approx(200.0))
    assert part.disk == 4 * one.disk
    assert said_of(part).startswith("Estimate: 13 min in 4 parts, the first 3 min (from the first steps")


def test_a_comparisons_timing_of_each_method_by_itself_is_in_its_time():
    (one,) = estimates({**FACTS, "work": 0.5, "parts": 2, "timing_steps": 30.0})
    assert (one.seconds, one.part, one.timing) == (pytest.approx(460.0), pytest.approx(200.0), pytest.approx(60.0))
    words = (
        "8 min in 2 parts, the first 3 min, with 60 s of timing each method by itself at the end (from the first steps"
    )
    assert words in said_of(one)
    assert "timing" not in said_of(estimates(FACTS)[0])


def test_a_short_training_has_an_estimate_of_what_steps_it_has_and_a_single_step_none():
    (short,) = estimates(FACTS, steps=3)
    assert short.seconds == pytest.approx(6.0)
    assert not estimates(FACTS, steps=1)


@pytest.mark.parametrize(
    ("seconds", "words"), [(4, "4 s"), (600, "10 min"), (3 * 3600 + 300, "3 h 05 min"), (183600, "2 days 3 h")]
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_amounts():
    assert [amount(n) for n in (64e3, 12e6, 3.44e9)] == ["64 kB", "12 MB", "3.4 GB"]


def printed(records, clock, seconds):
    """The lines of records without a terminal, each of which takes so many seconds."""
    out = io.StringIO()
    display = Display(Progress(console=Console(file=out, width=200), disable=True), clock)
    for record in records:
        clock.now += seconds
        display.show(record)
    return out.getvalue().splitlines()


def test_without_a_terminal_a_line_comes_every_half_minute_with_speed_and_time_left():
    clock = Clock()
    lines = printed([Record("start", 0, 100, facts=FACTS), *map(step, range(1, 9))], clock, 10.0)
    assert [line for line in lines if line.startswith("  step")] == [
        "  step 3 of 100: 2 samples/s, 16 min left",
        "  step 6 of 100: 2 samples/s, 16 min left",
    ]


def test_the_running_validation_accuracy_is_in_the_line():
    lines = [{"terms": {"task": [1.0, 2.0]}, "valid_accuracy": [0.5, 0.7]}]
    records = [Record("start", 0, 10, facts=FACTS), Record("epoch", 5, 10, lines=lines)]
    (line,) = [line for line in printed(records, Clock(), 1.0) if line.startswith("  step")]
    assert line == "  step 5 of 10: task 1.500, valid 60.00%, 80 samples/s, 1 s left"


def test_as_json_every_record_but_steps_is_a_line(capsys):
    def records():
        yield Record("start", 0, 2, facts={"loss": float("nan")})
        yield step(1, 2)
        yield Record("end", 2, 2, lines=[{"accuracy": 0.5}])

    watch(records(), Console(quiet=True), "json")
    start, end = map(json.loads, capsys.readouterr().out.splitlines())
    assert start == {"kind": "start", "step": 0, "steps": 2, "loss": None, "lines": []}
    assert end["lines"] == [{"accuracy": 0.5}]
    assert line_of(Record("end", 2, 2)) == {"kind": "end", "step": 2, "steps": 2, "lines": []}


def test_quiet_prints_nothing(capsys):
    watch((record for record in [Record("start", 0, 1, facts=FACTS), step(1, 1)]), Console(), "quiet")
    assert capsys.readouterr().out == ""
