"""Jobs of several processes on this machine, over gloo, and a data set for them."""

import os
import pickle
import socket
import traceback
from contextlib import closing, nullcontext
from multiprocessing import get_context

import torch

from codistill.data.examples import DataSet, Examples
from codistill.exchange import joined


def started(work, mesh, processes, *arguments):
    """Run ``work(mesh, *arguments)`` in so many processes: those, and the queue of (rank, what it gave, its error).

    A mesh that is "its own" is joined by the work itself, which gets none.
    """
    with closing(socket.socket()) as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    # a forked process has torch already, and cannot use a GPU that its parent has touched
    context = get_context("spawn") if torch.cuda.is_available() else get_context("fork")
    answers = context.Queue()
    job = [
        context.Process(target=_one, args=(work, mesh, rank, processes, port, answers, arguments))
        for rank in range(processes)
    ]
    for process in job:
        process.start()
    return job, answers


def job_of(work, mesh, processes, *arguments):
    """What ``work(mesh, *arguments)`` gives in each process, by rank; the first error of any."""
    if processes == 1:
        with joined(environment={}) as alone:
            return [work(alone, *arguments)]
    job, answers = started(work, mesh, processes, *arguments)
    try:
        found = {}
        while len(found) < processes:
            rank, value, error = answers.get(timeout=300)
            assert error is None, error
            found[rank] = pickle.loads(value)
        return [found[rank] for rank in range(processes)]
    finally:
        for process in job:
            process.join(10)
            process.kill()


def _one(work, mesh, rank, processes, port, answers, arguments):
    torch.set_num_threads(1)
    names = {"RANK": rank, "WORLD_SIZE": processes, "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    names |= {"LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": processes}
    os.environ.update({name: str(value) for name, value in names.items()})
    try:
        with nullcontext() if mesh == "its own" else joined(mesh) as place:
            answers.put((rank, pickle.dumps(work(*([place] if place else []), *arguments)), None))
    except BaseException:
        answers.put((rank, None, traceback.format_exc()))
        raise
    finally:
        answers.close()
        answers.join_thread()


def noisy_squares():
    """Squares of noise, with a class each."""
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(50, 1, 4, 4, generator=draw), torch.arange(50) % 5
    x[:, 0, 0] += y[:, None]
    parts = Examples(x, y), Examples(x[:10], y[:10])
    return DataSet(*parts, classes=5, task="classes", mean=(0.0,), std=(1.0,), names=tuple("abcde"))
