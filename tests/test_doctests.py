"""The `>>>` examples in docstrings do what they show."""

import doctest
import importlib
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src"


def module_of(path):
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


MODULES = [module_of(path) for path in sorted(SOURCE.rglob("*.py")) if ">>>" in path.read_text(encoding="utf-8")]


def test_some_module_has_an_example():
    assert MODULES


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings_give_what_they_show(name):
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.attempted, f"{name} has >>> outside a docstring, where nobody runs it"
    assert not outcome.failed
