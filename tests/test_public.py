"""What a user may rely on: the package's names, and the settings of a run. Changing one is a decision, made here."""

import dataclasses

import pytest

import codistill
from codistill.run import Run

NAMES = """
Alone Batch Cohort DML DMLEnsemble DataSet Examples Graph KD Method Needs PerPeer Record Row Run Study Trained along
blend compare complete cross_entropy fit from_dataset imitate js kl label_loss load restored resume reverse_kl ring
star symmetric_kl train
"""

SETTINGS = {
    "data": "digits",
    "data_root": None,
    "download": False,
    "limit": None,
    "labels": None,
    "valid": 0.0,
    "unlabelled": 0,
    "shards": "none",
    "noise": "none",
    "own_views": False,
    "augment": [],
    "models": ["cnn"],
    "peers": 2,
    "branch_at": None,
    "method": "dml",
    "update": "together",
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "momentum": 0.9,
    "nesterov": True,
    "betas": [0.9, 0.999],
    "weight_decay": 5e-4,
    "schedule": "cosine",
    "warmup": 0.0,
    "smoothing": 0.0,
    "average": 0.0,
    "clip": None,
    "epochs": 40,
    "steps": None,
    "batch": 64,
    "drop_last": False,
    "seed": 0,
    "retraining": 0,
    "execute": "auto",
    "threads": "auto",
    "precision": "float32",
    "device": "auto",
    "embedding": "fc:input",
    "on_divergence": "stop",
    "evaluate_every": 0,
    "keep": "last",
    "checkpoint_every": 10,
    "checkpoint_steps": 0,
}


def test_the_public_names_are_these():
    assert sorted(codistill.__all__) == NAMES.split() == dir(codistill)


@pytest.mark.parametrize("name", NAMES.split())
def test_every_public_name_is_there(name):
    assert getattr(codistill, name).__doc__


def test_the_settings_of_a_run_and_their_defaults_are_these():
    assert Run().as_dict() == SETTINGS
    assert [field.name for field in dataclasses.fields(Run)] == list(SETTINGS)
