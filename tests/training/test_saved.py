"""A checkpoint that an earlier version wrote is opened, and goes on to the bit.

``saved/run`` is a fleet of DML with two seeds, MMT and FitNet, with averages of the weights and Adam, left after step 4
of 6; ``saved/end.safetensors`` are the peers that the same version ended with. MMT shared one view between its peers
then, which ``own_views=false`` in its ``runs.json`` says today.
"""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from codistill import checkpoint
from codistill.training.loop import restored, resume
from goldens.record import machine

SAVED = Path(__file__).parent / "saved"
WRITTEN_ON = {"torch": "2.13.0+cpu", "machine": "x86_64", "capability": "AVX2", "processor": "AMD EPYC"}


@pytest.mark.filterwarnings("ignore:.*is of an earlier version and has no checksums")
def test_an_earlier_versions_checkpoint_ends_where_it_ended_there(tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(SAVED / "run", folder)
    *_, end = resume(folder, part=None)
    assert end.step == 6
    assert end.facts["passes"] == {"forward": 48, "backward": 48}
    peers = load_file(checkpoint.latest(folder) / "peers.safetensors")
    expected = load_file(SAVED / "end.safetensors")
    assert peers.keys() == expected.keys()
    same_machine = {name: machine()[name] for name in WRITTEN_ON} == WRITTEN_ON
    for name, tensor in expected.items():
        torch.testing.assert_close(peers[name], tensor, **({"rtol": 0, "atol": 0} if same_machine else {}))


@pytest.mark.filterwarnings("ignore:.*is of an earlier version and has no checksums")
def test_an_earlier_versions_averages_are_what_is_evaluated():
    fleet = restored(SAVED / "run")
    state = load_file(SAVED / "run" / "checkpoints" / "step-00000004" / "state.safetensors")
    for peer in fleet.delivered.peers:
        for name, tensor in fleet.delivered.peer_state(peer).items():
            assert torch.equal(tensor, state[f"average.{peer}.{name}"])
