"""Joining the processes that ``torchrun`` has started."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from torch import distributed as dist
from torch.distributed.rendezvous import rendezvous

from codistill.checks import flag, whole
from codistill.exchange.mesh import Mesh
from codistill.spec import Spec, UnknownName

AXES, SETTINGS = ("peer", "data"), ("shard", "timeout")
TIMEOUT = 600  # seconds
ENDING = 1.0  # seconds that the process which says what is wrong has before the others end


def axes_of(mesh: str | None, processes: int) -> tuple[int, int, bool, int]:
    """The sizes of the axes ``peer`` and ``data``, whether weights are sharded, and the timeout in seconds.

    Args:
        mesh: ``peer=2,data=2,shard=true,timeout=600``; what is not said of an axis is 1, and None is ``peer=`` all
            processes.
        processes: how many there are.

    Raises:
        ValueError: a mesh of another number of processes, an unknown axis, an invalid size, nothing to shard along.
    """
    options = dict(Spec.of(f"mesh:{mesh}").options) if mesh else {"peer": processes}
    for name in options:
        if name not in (*AXES, *SETTINGS):
            raise UnknownName("axis of a mesh", name, (*AXES, *SETTINGS))
    if mesh and not options:
        raise ValueError(f"mesh={mesh!r}: write peer=2,data=2")
    peer, data = (whole(f"mesh: {axis}", options.get(axis, 1)) for axis in AXES)
    sharded = flag("mesh: shard", options.get("shard", False))
    timeout = whole("mesh: timeout", options.get("timeout", TIMEOUT))
    if peer * data != processes:
        start = f"torchrun --nproc-per-node {peer * data} -m codistill ..."
        raise ValueError(
            f"mesh={mesh!r} is for {peer * data} processes, and there are {processes}: start it by {start}"
        )
    if sharded and data == 1:
        raise ValueError("mesh: shard=true deals weights out along data: set data to 2 or more, or leave shard out")
    return peer, data, sharded, timeout


@contextmanager
def joined(mesh: str | None = None, environment: Mapping[str, str] = os.environ) -> Iterator[Mesh]:
    """This process's place in the job that ``torchrun`` has started; a mesh of one without ``torchrun``.

    Where an error ends several processes, the first of them to fail says so and the others end without a word.

    Args:
        mesh: see `axes_of`.
        environment: where ``torchrun`` says who this process is.

    Raises:
        ValueError: see `axes_of`.
    """
    processes = int(environment.get("WORLD_SIZE", 1))
    try:
        peer, data, sharded, timeout = axes_of(mesh, processes)
    except ValueError:  # all processes find it out by themselves
        if environment.get("RANK", "0") != "0":
            time.sleep(ENDING)
            raise SystemExit(1) from None
        raise
    if processes == 1:
        yield Mesh()
        return
    wait = timedelta(seconds=timeout)
    store, rank, _ = next(rendezvous("env://", timeout=wait))
    staged = not _gpus(environment)
    dist.init_process_group(
        "gloo" if staged else "cpu:gloo,cuda:nccl", store=store, rank=rank, world_size=processes, timeout=wait
    )
    rows = [range(place * data, (place + 1) * data) for place in range(peer)]
    groups = [dist.new_group(list(row), wait) for row in rows]  # every process makes all of them
    try:
        yield Mesh(peer, data, rank, groups[rank // data] if data > 1 else None, sharded, staged)
    except SystemExit:  # all of them end, and each has its exit code
        raise
    except BaseException:
        if not _is_first_to_fail(store, rank):
            time.sleep(ENDING)
            raise SystemExit(1) from None
        raise
    dist.destroy_process_group()


def restarts() -> bool:
    """Whether ``torchrun`` has started this process again, after an error of one of them."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0


def _gpus(environment: Mapping[str, str]) -> bool:
    """Whether every process of this machine has a GPU of its own, which is then the current one."""
    here, local = (int(environment.get(name, 0)) for name in ("LOCAL_WORLD_SIZE", "LOCAL_RANK"))
    if not torch.cuda.is_available():
        return False
    torch.cuda.set_device(local % torch.cuda.device_count())
    return dist.is_nccl_available() and here <= torch.cuda.device_count()


def _is_first_to_fail(store: Any, rank: int) -> bool:
    """Whether this process is the one that says what is wrong."""
    count = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    try:
        return int(store.compare_set(f"codistill/{count}/failed", "", str(rank))) == rank
    except RuntimeError:  # the store went down with the process that held it
        return True
