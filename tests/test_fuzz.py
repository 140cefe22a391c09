"""Whatever is read ends in a value or a clear line; the same for as long as one likes: tests/fuzz.py."""

import json
import random
import warnings

import pytest
from hypothesis import given, settings, strategies as st

import fuzz

FEW = settings(derandomize=True, max_examples=12, database=None)
TEXT = st.text(max_size=20)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    home = tmp_path_factory.mktemp("fuzz")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(fuzz.readers(home / "sound")), home / "tried"


def tried(readers, content, wanted=lambda reader: True):
    """What is wrong with the readers that are wanted, each given its content."""
    every, home = readers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcomes = {reader.name: fuzz.trial(reader, content(reader), home) for reader in every if wanted(reader)}
    return {name: outcome for name, outcome in outcomes.items() if outcome not in ("value", "refused")}


def test_sound_contents_are_values(readers):
    every, home = readers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sound = [(reader.name, fuzz.trial(reader, seed, home)) for reader in every for seed in reader.seeds]
    refused = {name for name, outcome in sound if outcome != "value"}
    assert refused == {"official/data_batch_1"}  # which is no official file


@FEW
@given(number=st.integers(0, 2**64))
def test_damaged_contents(number, readers):
    chance = random.Random(number)
    assert not tried(readers, lambda reader: fuzz.changed(reader, chance))


@FEW
@given(value=VALUES)
def test_json_of_any_kind(value, readers):
    assert not tried(readers, lambda reader: json.dumps(value).encode() + b"\n", lambda reader: reader.is_json)


@FEW
@given(text=st.text(alphabet=st.characters(codec="utf-8")))
def test_texts_of_any_kind(text, readers):
    assert not tried(readers, lambda reader: text.encode(), lambda reader: reader.is_text)


def test_what_fails_would_be_told(tmp_path):
    def broken(error):
        def read(path):
            raise error

        return fuzz.trial(fuzz.Reader("file", (b"",), read), b"", tmp_path)

    assert broken(KeyError("lost")).startswith("KeyError: \"'lost'\" at")
    assert broken(ValueError("")) == "says nothing: ValueError"
    assert broken(ValueError("it is damaged")) == broken(OSError("no")) == "refused"
    assert broken(OSError(fuzz.LATE)) == "took 10 s"
