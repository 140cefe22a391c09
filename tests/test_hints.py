"""What people type who know other programs is understood, or answered with how it is written here."""

import json
from typing import Any

import pytest
import torch

from codistill import Batch, PerPeer, Run, cli
from codistill.cli.hints import as_options, check_lists, spelled_here
from codistill.data import load
from codistill.spec import UnknownName
from codistill.study import Row
from test_cli import refusal

LR: Any = {"lr": 0.1}
EPOCH: Any = {"epoch": 3}


@pytest.mark.parametrize(
    ("typed", "here"),
    [
        ("train --lr 0.1 --wd=1e-4", "train --learning-rate 0.1 --weight-decay=1e-4"),
        ("train --batch-size 8 --batch_size 9", "train --batch 8 --batch 9"),
        ("train --arch cnn mlp --dataset digits", "train --models cnn mlp --data digits"),
        ("train --gpu", "train --device cuda"),
        ("train --gpu --amp --lr 1", "train --device cuda --precision bfloat16 --learning-rate 1"),
        ("train --gpu 1", "train --device cuda:1"),
        ("train --gpu=1 --seed 3", "train --device=cuda:1 --seed 3"),
        ("train --learning-rate 1 --seed 2", "train --learning-rate 1 --seed 2"),
    ],
)
def test_common_names_are_aliases_with_a_hint(typed, here, capsys):
    assert spelled_here(typed.split()) == here.split()
    assert ("is called --" in capsys.readouterr().err) == (typed != here)


def test_an_alias_arrives(capsys):
    cli.main(["show", "--lr", "0.3", "--model", "mlp"])
    said = capsys.readouterr()
    assert (json.loads(said.out)["learning_rate"], json.loads(said.out)["models"]) == (0.3, ["mlp"])
    assert said.err == "codistill: --lr is called --learning-rate here\ncodistill: --model is called --models here\n"


@pytest.mark.parametrize(
    ("typed", "fix"),
    [
        ("--models cnn,mlp", "--models cnn mlp"),
        ("--models my:A,my:B", "--models my:A my:B"),
        ("--models=cnn,mlp:hidden=3", "--models cnn mlp:hidden=3"),
        ("--methods alone,dml", "--methods alone dml"),
        ("--seeds 0,1,2", "--seeds 0 1 2"),
    ],
)
def test_lists_with_commas_are_answered_with_spaces(typed, fix):
    with pytest.raises(ValueError, match=f"separate several by spaces: {fix}$"):
        check_lists(["compare", *typed.split()])


@pytest.mark.parametrize(
    "typed",
    ["--models cnn:width=4,start=alone mlp", "--methods dml:peers=4,models=cnn+mlp:hidden=9;bias=1", "--data hf:a,b=1"],
)
def test_commas_within_a_spec_are_its_own(typed):
    check_lists(["compare", *typed.split()])


def test_dotted_names_and_paths_are_answered_with_how_they_are_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pics").mkdir()
    assert "did you mean 'my_nets:SmallNet'?" in refusal("train", "--models", "my_nets.SmallNet")
    for typed in ("../pics", "pics"):
        assert f"write --data folder --data-root {typed}" in refusal("train", "--data", typed)
    for typed, fix in (
        ("folder:../pics", "folder --data-root ../pics"),
        ("folder:pics,size=8", "folder:size=8 --data-root pics"),
        ("imagenet:pics", "imagenet --data-root pics"),
        ("digits:/pics", "digits --data-root /pics"),
    ):
        assert f"the folder is a setting of its own: write --data {fix}" in refusal("train", "--data", typed)
    with pytest.raises(ValueError, match="write --data table:train=ag.csv --data-root my"):
        load("my/ag.csv")


def test_a_folder_that_is_not_there_is_answered_with_those_near_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refusal("resume", "runs/pair") == "runs/pair does not exist: no run is there"
    for name in ("pair-1", "trio", "notes"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    for name in ("pair-1", "trio"):
        (tmp_path / "runs" / name / "runs.json").touch()
    assert refusal("resume", "pair1") == "pair1 does not exist: did you mean runs/pair-1?"
    assert refusal("evaluate", "runs/zzz") == "runs/zzz does not exist: there are runs/pair-1, runs/trio"


@pytest.mark.parametrize(
    ("make", "answer"),
    [
        (lambda: Run(device="gpu"), "device='gpu' is not there: give auto, cpu, cuda, cuda:N or mps"),
        (lambda: Run(labels=0), "labels=0: give a whole number of at least 1"),
        (lambda: Run(**LR), "no setting of a run is called 'lr': did you mean 'learning_rate'"),
        (lambda: Run().replace(batch_size=3), "did you mean 'batch'"),
        (lambda: Run(**EPOCH), "did you mean 'epochs'"),
    ],
)
def test_a_runs_mistakes_are_said_when_it_is_made(make, answer):
    with pytest.raises(ValueError, match=answer):
        make()


def test_an_alias_in_a_row_is_answered():
    from codistill.study import Study

    with pytest.raises(UnknownName, match="called 'lr': did you mean 'learning_rate'"):
        Study("s", Run(), (Row("dml", lr=0.1),), (0,))


def test_advice_is_in_the_words_of_the_command_line():
    assert as_options("part='valid' is empty: choose part=test, or set valid") == (
        "part='valid' is empty: choose --part test, or set valid"
    )
    assert as_options("none: set valid=0.1, evaluate_every=1 (the part)") == (
        "none: set --valid 0.1 --evaluate-every 1 (the part)"
    )
    assert as_options("in_turn: use update='together'") == "in_turn: use --update together"
    said = "a.png cannot be read: replace it, or set skip_bad=true"
    assert as_options(said, "folder:size=8").endswith("or set --data folder:size=8,skip_bad=true")
    assert as_options(said, "folder").endswith("or set --data folder:skip_bad=true")
    assert as_options(said) == said
    assert as_options("device='cuda' is not there: set device=cpu").endswith("set --device cpu")


@pytest.mark.parametrize(
    ("x", "size"), [(torch.zeros(3, 2), 3), (PerPeer(torch.zeros(4, 3, 2)), 3), ({"ids": torch.zeros(5, 2)}, 5)]
)
def test_a_batch_without_labels_is_unlabelled(x, size):
    batch = Batch(x)
    assert batch.y.tolist() == [-1] * size
    assert batch.y.dtype == torch.int64
