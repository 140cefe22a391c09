"""Which device and which backend a process takes; GPUs are only said to be there."""

from contextlib import contextmanager

import pytest
import torch
from torch import distributed as dist

from codistill.exchange import Mesh, job, joined


def environment(rank, here, processes=4):
    return {
        "RANK": str(rank),
        "WORLD_SIZE": str(processes),
        "LOCAL_RANK": str(rank % here),
        "LOCAL_WORLD_SIZE": str(here),
    }


@pytest.fixture
def begun(monkeypatch):
    """What was asked of torch, with so many GPUs on this machine."""

    @contextmanager
    def of(gpus, nccl=True):
        asked: dict = {"groups": []}
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.cuda, "set_device", lambda device: asked.update(device=device))
        monkeypatch.setattr(dist, "is_nccl_available", lambda: nccl)
        monkeypatch.setattr(job, "rendezvous", lambda *_, **__: iter([("store", asked["rank"], 4)]))
        monkeypatch.setattr(dist, "init_process_group", lambda backend, **more: asked.update(backend=backend, **more))
        monkeypatch.setattr(dist, "new_group", lambda ranks, wait: asked["groups"].append(ranks) or tuple(ranks))
        monkeypatch.setattr(dist, "destroy_process_group", lambda: asked.update(ended=True))
        yield asked

    return of


@pytest.mark.parametrize(
    ("gpus", "nccl", "here", "rank", "device", "backend"),
    [
        (4, True, 4, 3, 3, "cpu:gloo,cuda:nccl"),  # each has its own
        (2, True, 2, 3, 1, "cpu:gloo,cuda:nccl"),  # the second of the second machine
        (2, True, 4, 3, 1, "gloo"),  # two share one, which NCCL refuses
        (4, False, 4, 2, 2, "gloo"),  # torch was built without it
        (0, True, 4, 1, None, "gloo"),
    ],
)
def test_a_gpu_for_each_process_by_its_number_on_its_machine(gpus, nccl, here, rank, device, backend, begun):
    with begun(gpus, nccl) as asked:
        asked["rank"] = rank
        with joined("peer=2,data=2,timeout=7", environment(rank, here)) as mesh:
            assert asked.get("device") == device
            assert asked["backend"] == backend
            assert mesh.staged == (backend == "gloo")  # what crosses goes through the CPU
            assert (asked["rank"], asked["world_size"], asked["timeout"].total_seconds()) == (rank, 4, 7)
            assert asked["groups"] == [[0, 1], [2, 3]]  # in every process, also those it is not of
            assert mesh.shards == ((0, 1) if rank < 2 else (2, 3))
        assert asked["ended"]


def test_the_bytes_of_a_mesh_of_gpus_stay_on_them(monkeypatch):
    """What is gathered lies where what is sent does, unless it is staged."""
    seen = []
    monkeypatch.setattr(dist, "all_gather", lambda rows, wire: seen.append((rows[0].device.type, wire.device.type)))
    for staged in (False, True):
        mesh = Mesh(peer=2, staged=staged)
        assert mesh.gather(torch.zeros(9, dtype=torch.uint8, device="meta" if not staged else "cpu")).shape == (2, 9)
    assert seen == [("meta", "meta"), ("cpu", "cpu")]
