"""How peers are run, in words."""

import pytest

from codistill.report.progress import executed


@pytest.mark.parametrize(
    ("timing", "said"),
    [
        ({"stack": 1.0, "loop": 2.5}, "like networks run as one stack (2.5 times as fast as the loop)"),
        ({"stack": 1.0, "loop": 1.04}, "like networks run as one stack (as fast as the loop)"),
        (
            {"stack": 1.0, "loop": 2.5, "channels_last": 1.5},
            "like networks run as one stack (2.5 times as fast as the loop, 1.5 times as fast as channels last)",
        ),
        ({"stack": 1.0}, "like networks run as one stack"),
        (None, "like networks run as one stack"),
    ],
)
def test_the_factor_is_said_where_it_is_not_1(timing, said):
    assert executed({"execute": "stack", "timing": timing}) == said


def test_threads_are_said_where_they_were_timed():
    facts = {"execute": "loop", "threads": 1, "thread_timing": {"2": 15.0, "1": 1.0}}
    assert executed(facts) == "networks run one after the other, with one thread (15.0 times as fast as 2 threads)"
    facts = {"execute": "loop", "threads": 2, "thread_timing": {"2": 1.0, "1": 1.5}}
    assert executed(facts) == "networks run one after the other, with 2 threads (1.5 times as fast as one thread)"


def test_of_the_loop():
    facts = {"execute": "loop", "timing": {"stack": 1.01, "loop": 1.0}}
    assert executed(facts) == "networks run one after the other (as fast as the stack)"
