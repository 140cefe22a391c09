"""Specs in narrow columns: broken where they have joints, and nothing is lost."""

import pytest

from codistill.report.numbers import wrapped

SPEC = "dml:peers=2,models=resnet32:start=alone+resnet32"


@pytest.mark.parametrize("width", [1, 8, 14, 20, 80])
def test_lines_are_broken_at_joints_and_together_they_are_the_text(width):
    lines = wrapped(SPEC, width)
    assert "".join(lines) == SPEC
    assert all(len(line) <= width or not set(line[:-1]) & set(",+:;=/ ") for line in lines)
    assert all(line[-1] in ",+:;=/" for line in lines[:-1])


def test_words_are_broken_at_spaces():
    assert wrapped("DML, 2 networks, models a+b", 12) == ["DML, 2", "networks,", "models a+b"]
    assert wrapped("", 5) == [""]
