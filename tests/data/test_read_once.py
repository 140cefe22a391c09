"""A comparison reads a data set once."""

import codistill.data
from codistill.data import DataSet, read_once
from codistill.data.digits import digits
from codistill.run import Run
from codistill.study import Row, Study, compare

CALLS = []


def counted() -> DataSet:
    """The digits, and a note that they were read."""
    CALLS.append(1)
    return digits()


def test_within_it_a_data_set_is_read_once_and_after_it_again():
    CALLS.clear()
    name = f"{__name__}:counted"
    with read_once():
        first = codistill.data.load(name)
        with read_once():
            assert codistill.data.load(name) is first
        assert codistill.data.load(name) is first
    assert codistill.data.load(name) is not codistill.data.load(name)
    assert len(CALLS) == 3


def test_a_comparison_reads_its_data_once(tmp_path):
    CALLS.clear()
    base = Run(data=f"{__name__}:counted", models=("mlp:hidden=4",), labels=60, batch=30, epochs=1, threads=1)
    study = Study("", base, (Row("alone"), Row("dml", peers=2, learning_rate=0.1)), (0, 1), stacked=False)
    records = list(compare(study, tmp_path / "study"))
    assert records[-1].kind == "summary"
    assert len(CALLS) == 1
    codistill.data.load(base.data)
    assert len(CALLS) == 2
