"""Training gives, bit for bit, what it gave when `goldens/record.py` was last run.

Where the machine or torch is another one, last bits may differ: terms are then compared closely, and digests not.
"""

import pytest

from goldens import record

RECORD = "python tests/goldens/record.py --only"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """The entries of a file, computed anew, once for all tests of it."""
    recorder = record.Recorder(tmp_path_factory.mktemp("goldens"))
    entries = {}

    def compute(name):
        if name not in entries:
            entries[name] = recorder.entries(name)
        return entries[name]

    return compute


@pytest.mark.parametrize("name", record.names())
class TestGoldens:
    def test_the_numbers_are_those_that_were_recorded(self, name, fresh):
        machine, stored = record.read(name)
        moved = record.terms_that_moved(stored, fresh(name), exact=machine == record.machine())
        assert not moved, "\n".join([f"{name}: {RECORD} {name} if this is meant", *moved])

    def test_the_digests_are_those_that_were_recorded(self, name, fresh):
        machine, stored = record.read(name)
        here = record.machine()
        if machine != here:
            differ = [f"{k}: {machine.get(k)} -> {here[k]}" for k in here if machine.get(k) != here[k]]
            pytest.skip(f"recorded on another machine ({', '.join(differ)})")
        moved = record.digests_that_moved(stored, fresh(name))
        assert not moved, "\n".join([f"{name}: {RECORD} {name} if this is meant", *moved])


def test_a_resumed_run_ended_as_the_unbroken_one():
    _, stored = record.read(record.INTERRUPTED)
    assert stored
    assert all(entry["ends_as_unbroken"] for entry in stored.values())


def test_settings_are_not_refused():
    _, stored = record.read(record.SETTINGS)
    assert stored
    assert not [name for name, entry in stored.items() if "refused" in entry]


def test_there_is_a_file_for_everything_that_is_recorded_and_no_other():
    files = {path.stem for path in record.DATA.glob("*.json")}
    missing = sorted(set(record.names()) - files)
    assert not missing, f"not recorded yet: {RECORD} {' '.join(missing)}"
    assert not files - set(record.names()), "without --only, record.py removes what is recorded no more"


def test_a_change_of_the_last_bit_is_seen_here_and_no_change_within_the_tolerance_elsewhere():
    one = {"a": {"terms": [{"task": [f"{(1.0).hex()} {(2.0).hex()}"] * 3}], "peers": [["00"]]}}
    two = {"a": {"terms": [{"task": [f"{(1.0).hex()} {(2 + 2**-51).hex()}"] * 3}], "peers": [["01"]]}}
    three = {"a": {"terms": [{"task": [f"{(1.0).hex()} {(2.001).hex()}"] * 3}], "peers": [["00"]]}, "b": {}}
    (line,) = record.terms_that_moved(one, two, exact=True)
    assert line.startswith("a: terms [0] task [0]: 0x1.0000000000000p+0 0x1.0000000000000p+1 -> ")
    assert not record.terms_that_moved(one, two, exact=False)
    assert record.digests_that_moved(one, two) == ["a: peers [0] [0]: 00 -> 01"]
    assert len(record.terms_that_moved(one, three, exact=False)) == 2
