"""Wherever a process is stopped, what it was doing ends as if it had not been; all points: tests/crash_points.py."""

import pytest

from crash_points import BASE, compares, sweep, trains

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of what is passed over
    pytest.mark.skipif("not hasattr(__import__('os'), 'fork')", reason="processes are forked"),
]


@pytest.mark.parametrize(
    ("go", "every"), [(trains(BASE), 5), (compares(["dml"], report=False), 13)], ids=["a run", "a comparison"]
)
def test_every_point_is_gone_on_from(go, every):
    points, lost = sweep(go, every)
    assert lost == []
    assert points > 40
