"""Rows of a study: typed in Python, and what the command line and old folders write as text."""

import json

import pytest

from codistill.run import Run
from codistill.spec import Spec, UnknownName
from codistill.study import Row, Study, load
from codistill.study.rows import read_row, row_of

SAME = [
    (Row("alone"), "alone"),
    (Row("alone", label_smoothing=0.1), "alone:label_smoothing=0.1"),
    (Row("dml", peers=4, temperature=3), "dml:peers=4,temperature=3"),
    (Row("dml", peers=2, update="in_turn"), "dml:peers=2,update=in_turn"),
    (Row("dml", models=("cnn", "mlp")), "dml:models=cnn+mlp"),
    (
        Row("dml", models=("cnn:start=alone", "mlp:width=9,start=alone")),
        "dml:models=cnn:start=alone+mlp:width=9;start=alone",
    ),
    (Row("dml", augment=["crop:pad=4,mode=zeros", "flip"]), "dml:augment=crop:pad=4;mode=zeros+flip"),
    (Row("dml", betas=(0.5, 0.9)), "dml:betas=0.5+0.9"),
    (Row("alone", shards="dirichlet:alpha=0.3,least=5"), "alone:shards=dirichlet:alpha=0.3;least=5"),
    (Row("alone", shards=[[0, 1], [2, 3]], noise="none"), "alone:shards=table:0+1/2+3,noise=none"),
    (Row("alone", schedule="step:at=0.5,by=0.2", steps=40), "alone:schedule=step:at=0.5;by=0.2,steps=40"),
    (Row("kd", teacher="alone", graph="ring"), "kd:teacher=alone,graph=ring"),
    (Row("kd", teacher="resnet110"), "kd:teacher=resnet110"),
    (Row("kd", teacher=None), "kd:teacher=none"),
    (Row("tfkd", teacher="alone"), "tfkd:teacher=alone"),
    (
        Row("codistill.recipes.sentiment:BatchSoftmax", peers=2, sigmoid=False),
        "codistill.recipes.sentiment:BatchSoftmax,peers=2,sigmoid=false",
    ),
]


@pytest.mark.parametrize(("row", "text"), SAME, ids=[text for _, text in SAME])
def test_a_row_is_written_as_the_text_that_reads_as_it(row, text):
    assert str(row) == text
    assert row_of(text) == read_row(text) == row
    assert hash(row_of(text)) == hash(row)
    assert row_of(row) is row


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("kd", Row("kd", teacher="alone", graph="ring")),
        ("kd:teacher=alone", Row("kd", teacher="alone", graph="ring")),
        ("kd:teacher=alone,graph=everyone", Row("kd", teacher="alone", graph="everyone")),
        ("cml:peers=4", Row("cml", peers=4, teacher="alone", graph="ring")),
        ("tfkd", Row("tfkd", teacher="alone")),
        ("kd:teacher=runs/big", Row("kd", teacher="runs/big")),
    ],
)
def test_text_that_names_no_teacher_is_taught_by_the_next_network_trained_alone(text, row):
    assert row_of(text) == row


def test_what_a_study_writes_is_read_without_what_a_typed_row_leaves_out():
    study = Study("s", Run(), (Row("kd", teacher="alone"), Row("kd", teacher="resnet110")), (0,))
    assert Study.from_dict(json.loads(json.dumps(study.as_dict()))) == study


def test_a_row_in_python_is_what_it_says():
    (_, entry) = Study("s", Run(), (Row("kd", teacher="alone", graph="everyone"),), (0,)).entries
    assert entry.name == "kd:teacher=alone,graph=everyone"
    with pytest.raises(ValueError, match="method 'kd' needs teacher"):
        Study("s", Run(), (Row("kd"),), (0,))


def test_the_ring_is_in_the_label_and_below_the_table():
    study = Study("s", Run(), ("kd", "dml:graph=ring"), (0,), notes=("mind the gap",))
    assert [entry.label for entry in study.entries] == ["Alone", "KD, graph ring", "DML, 2 networks, graph ring"]
    assert study.footnotes == (
        "mind the gap",
        "Graph ring: each student is taught by the next network trained alone, never by the one with its own start.",
    )
    assert Study("s", Run(), ("dml:graph=ring",), (0,)).footnotes == ()
    (_, taught) = (
        entry for entry in Study("s", Run(), ("kd:teacher=mlp",), (0,)).entries if entry.name != "alone:models=mlp"
    )
    assert taught.label == "KD, teacher mlp"


def test_a_row_with_all_labels_in_a_study_of_private_ones_says_so():
    base = Run(peers=4, shards="equal", labels=80, unlabelled=20)
    study = Study("s", base, ("alone:shards=none", "dml:shards=none"), (0,))
    labels = {entry.name: entry.label for entry in study.entries}
    assert labels["alone:shards=none"] == "Alone, all labels pooled"
    assert labels["dml:peers=4,shards=none"] == "DML, 4 networks, all labels pooled"


def test_settings_of_a_row_are_typed_and_checked():
    row = Row("dml", models=["cnn", "mlp:width=9"], learning_rate=1)
    assert row.setting("models") == (Spec("cnn"), Spec("mlp", (), {"width": 9}))
    assert row.setting("learning_rate") == 1.0
    assert row.setting("epochs") is None
    assert row.peers == 2
    assert Row("dml").peers is None
    assert row.replace(peers=2, weight=3) == Row(
        "dml", models=["cnn", "mlp:width=9"], learning_rate=1.0, peers=2, weight=3
    )
    with pytest.raises(ValueError, match="epochs=0: give a whole number of at least 1"):
        Row("dml", epochs=0)
    with pytest.raises(
        UnknownName, match="no option of method 'dml', or setting of a run, is called 'epoch': did you mean 'epochs'"
    ):
        Study("s", Run(), (Row("dml", epoch=3),), (0,))


OLD = {
    "recipe": "digits",
    "base": {"data": "digits", "labels": 300, "models": ["cnn"], "method": "dml", "epochs": 60, "schedule": "cosine"},
    "methods": ["alone", "alone:label_smoothing=0.1", "dml:peers=2,models=cnn+cnn:width=9;start=alone", "kd"],
    "seeds": [0, 1],
    "stacked": True,
    "notes": ["A note."],
    "part": "test",
    "published": [],
    "quick": False,
    "command": "codistill compare",
    "versions": {"codistill": "0.1.0"},
}


def test_a_study_that_was_written_as_text_opens(tmp_path):
    (tmp_path / "study.json").write_text(json.dumps(OLD))
    study = load(tmp_path)
    assert study.base == Run(labels=300, epochs=60)
    assert study.rows[2:] == (
        Row("dml", peers=2, models=("cnn", "cnn:width=9,start=alone")),
        Row("kd", teacher="alone", graph="ring"),
    )
    assert json.loads(json.dumps(study.as_dict()))["methods"] == [*OLD["methods"][:3], "kd:teacher=alone,graph=ring"]
    assert Study.from_dict(json.loads(json.dumps(study.as_dict()))) == study
