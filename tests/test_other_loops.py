"""Cohorts and methods in loops of others: in DistributedDataParallel, of transformers' networks, saved and loaded."""

import os
import subprocess
import sys
from collections import UserDict
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.parallel import DataParallel

import ddp_step
import tiny_transformers
from codistill import DML, Batch, Cohort, methods
from codistill.methods import NotPrepared
from codistill.spec import WrongKind

SCRIPT = Path(ddp_step.__file__)


@pytest.mark.parametrize("spec", ["dml:temperature=2", "kdcl"])
def test_gradients_of_two_processes_are_those_of_the_whole_batch(spec, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen([sys.executable, SCRIPT, str(rank), tmp_path, spec], env=environment) for rank in range(2)
    ]
    assert [process.wait(timeout=300) for process in started] == [0, 0]
    cohort, x, y = ddp_step.cohort_and_batch()
    whole = ddp_step.gradients(cohort, cohort, methods.get(spec), x, y)
    for rank in range(2):
        torch.testing.assert_close(torch.load(tmp_path / f"{rank}.pt"), whole, rtol=1e-10, atol=1e-12)


def test_what_is_no_cohort_is_said():
    cohort, x, y = ddp_step.cohort_and_batch()
    with pytest.raises(WrongKind, match=r"DML was called with a Linear: give it a cohort, Cohort\(\["):
        DML()(nn.Linear(6, 4), Batch(x, y))
    with pytest.raises(ValueError, match="DataParallel joins .* use DistributedDataParallel"):
        DML()(DataParallel(cohort), Batch(x, y))

    class Sharded(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

    with pytest.raises(ValueError, match=r"Sharded\(cohort\): put cohort and method into one module"):
        DML()(Sharded(cohort), Batch(x, y))


def test_parameters_of_a_method_are_not_left_apart(tmp_path):
    cohort, x, y = ddp_step.cohort_and_batch()
    method = methods.get("dml")
    method.connector = nn.Linear(2, 2)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(cohort)
        with pytest.raises(ValueError, match="DML has parameters of its own, .* into one module"):
            method(wrapped, Batch(x, y))
        assert methods.get("dml")(wrapped, Batch(x, y))["mimic"].shape == (3,)
    finally:
        torch.distributed.destroy_process_group()


# State ---------------------------------------------------------------------------------------------------------------


def test_a_state_is_loaded_after_prepare():
    cohort, x, y = ddp_step.cohort_and_batch()
    trained = methods.get("mean_teacher")
    trained.prepare(cohort, Batch(x, y))
    with torch.no_grad():
        next(cohort.parameters()).add_(1.0)
    trained.after_step(cohort, Batch(x, y), 0.0)
    saved = nn.ModuleDict({"method": trained, "cohort": cohort}).state_dict()
    fresh = nn.ModuleDict({"method": methods.get("mean_teacher"), "cohort": ddp_step.cohort_and_batch()[0]})
    with pytest.raises(NotPrepared, match=r"MeanTeacher has 'averages\.\S+', .*: call method\.prepare"):
        fresh.load_state_dict(saved)
    fresh["method"].prepare(fresh["cohort"], Batch(x, y))
    fresh.load_state_dict(saved)
    for name, tensor in saved.items():
        assert torch.equal(tensor, fresh.state_dict()[name])
    methods.get("dml").load_state_dict({})


# Networks of transformers --------------------------------------------------------------------------------------------


def padded(padding):
    """Texts of unlike lengths, padded with this id at the end, and their mask."""
    ids = tiny_transformers.token_ids(6, least=3)
    mask = (ids != 0).long()
    return ids.where(mask.bool(), torch.tensor(padding)).where((ids != padding) | ~mask.bool(), torch.tensor(5)), mask


@pytest.mark.parametrize("kind", ["distilbert", "bert", "roberta"])
@pytest.mark.parametrize("execute", ["loop", "stack"])
def test_ids_alone_get_the_padding_mask_of_a_network_of_transformers(kind, execute):
    padding = {"roberta": 1}.get(kind, 0)
    changes = {"attn_implementation": "eager"}
    nets = [tiny_transformers.classifier(kind, seed, **changes) for seed in (1, 2)]
    ids, mask = padded(padding)
    expected = torch.stack([net(input_ids=ids, attention_mask=mask).logits for net in nets])
    wrong = torch.stack([net(input_ids=ids, attention_mask=torch.ones_like(ids)).logits for net in nets])
    assert not torch.allclose(expected, wrong, atol=1e-3)
    cohort = Cohort(nets, execute=execute).eval()
    for given in (ids, {"input_ids": ids, "attention_mask": mask}, UserDict(input_ids=ids, attention_mask=mask)):
        torch.testing.assert_close(cohort(given).logits, expected, rtol=1e-4, atol=1e-5)
    whatever = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    torch.testing.assert_close(cohort(whatever).logits, wrong, rtol=1e-4, atol=1e-5)


def test_a_network_of_hf_keeps_its_own_padding(tmp_path):
    from codistill.models import build

    tiny_transformers.folder(tmp_path / "net", "roberta")
    net = build(f"hf:{tmp_path / 'net'}", 3, (8,)).eval()
    ids = tiny_transformers.token_ids(6)
    torch.testing.assert_close(Cohort([net]).eval()(ids).logits[0], net(ids).logits)


class Answers(nn.Module):
    def __init__(self, form):
        super().__init__()
        self.form, self.layer = form, nn.Linear(4, 3)

    def forward(self, x):
        return self.form(self.layer(x))


@pytest.mark.parametrize("form", [lambda z: {"logits": z}, lambda z: SimpleNamespace(logits=z), lambda z: z])
def test_logits_are_found(form):
    net = Answers(form)
    x = torch.randn(5, 4)
    assert torch.equal(Cohort([net])(x).logits[0], net.layer(x))


@pytest.mark.parametrize(
    ("form", "what"),
    [
        (lambda z: (z, z), "a tuple of 2"),
        (lambda z: {"out": z, "aux": z}, "a dict of 'out', 'aux'"),
        (lambda z: None, "a NoneType"),
    ],
)
def test_other_outputs_are_named_with_their_network_and_a_fix(form, what):
    cohort = Cohort([nn.Linear(4, 3), Answers(form)])
    with pytest.raises(WrongKind, match=f"^Answers returned {what}: let its forward return the logits"):
        cohort(torch.randn(5, 4))
