"""What crosses between peers, in words."""

import pytest

from codistill.report.traffic import size, traffic_notes
from codistill.study.summary import Summary
from codistill.study.traffic import RowTraffic
from codistill.training.traffic import Traffic


def notes(summary, *each):
    rows = tuple(RowTraffic(f"m{i}", f"Row {i}", Traffic(**values)) for i, values in enumerate(each))
    return traffic_notes(Summary.from_dict({**Summary.from_dict(summary).as_dict(), "traffic": rows}))


DML = {"what": "posteriors", "messages": 400, "numbers": 1000, "total": 400_000, "parameters": 5_000, "steps": 400}


def test_rows_that_send_the_same_stand_together_beside_what_averaging_would_send(summary):
    (note,) = notes(summary, DML, DML)
    assert note == (
        "Communication in Row 0 and Row 1: each peer sends 1,000 probabilities (4.0 kB) per step, 1.6 MB over 400 "
        "steps; a message counts once, however many peers read it. Averaging weights would send 20.0 kB per round; "
        "averaging gradients as much in every step, 8.0 MB in all. Everything that a peer sends amounts to 80 rounds "
        "of averaging weights."
    )


def test_rounds_are_called_so(summary):
    weights = {**DML, "what": "weights", "messages": 8, "numbers": 5_000, "total": 40_000}
    (note,) = notes(summary, weights)
    assert "5,000 weights (20.0 kB) per round, 160 kB over 8 rounds" in note
    assert "Averaging gradients would send 8.0 MB." in note


def test_features_are_named(summary):
    (note,) = notes(summary, {**DML, "what": "features", "numbers": None, "total": None})
    assert "features, in each of 400 steps; their size was not counted" in note


def test_nobody_tells_anything_in_a_summary_that_does_not_say(summary):
    assert traffic_notes(Summary.from_dict(summary)) == []


def test_it_comes_back_from_json(summary):
    values = Summary.from_dict({**summary, "traffic": [{"method": "m", "label": "M", "traffic": DML}]})
    assert Summary.from_json(values.to_json()) == values


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 bytes"), (2.5, "2 bytes"), (999, "999 bytes"), (4000, "4.0 kB"), (99_600, "100 kB"), (2.1e9, "2.1 GB")],
)
def test_sizes_have_the_unit_that_fits(number, text):
    assert size(number) == text
