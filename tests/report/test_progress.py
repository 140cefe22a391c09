"""How peers are run, in words."""

import pytest

from codistill.report.progress import executed


@pytest.mark.parametrize(
    ("timing", "said"),
    [
        ({"stack": 1.0, "loop": 2.5}, "like networks run as one stack (2.5 times as fast as the loop)"),
        ({"stack": 1.0, "loop": 1.04}, "like networks run as one stack (as fast as the loop)"),
        ({"stack": 1.0}, "like networks run as one stack"),
        (None, "like networks run as one stack"),
    ],
)
def test_the_factor_is_said_where_it_is_not_1(timing, said):
    assert executed({"execute": "stack", "timing": timing}) == said


def test_of_the_loop():
    facts = {"execute": "loop", "timing": {"stack": 1.01, "loop": 1.0}}
    assert executed(facts) == "networks run one after the other (as fast as the stack)"
