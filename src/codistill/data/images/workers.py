"""Processes that read images ahead of the training, and in order for an evaluation."""

import itertools
import multiprocessing
import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from codistill.checks import whole
from codistill.data.images.cut import Unreadable
from codistill.data.images.lazy import LazyImages

WORKERS = "CODISTILL_WORKERS"  # the environment variable for their number, where a data set's spec does not give it
MOST = 8  # unless another number is given
PATIENCE = "CODISTILL_PATIENCE"  # the environment variable for the seconds that images are waited for
HANGS = f"the disk, or a process that reads, hangs; where it is only slow, set {PATIENCE} to more seconds"

Kind = tuple[str, int, int]  # role, stream, view
Place = tuple[int, int, Kind]  # epoch, step, kind
_Batch = tuple[Tensor, str]  # images, error
Request = tuple[Tensor, Tensor | None]  # image numbers, and the random numbers of their crops


def count(workers: int | None, name: str) -> int:
    """Number of worker processes: as given, else from CODISTILL_WORKERS, else one for each core, at most 8.

    Raises:
        ValueError: not a whole number of 0 or more; names the setting.
    """
    if workers is not None:
        return whole(f"{name}: workers", workers, 0)
    if text := os.environ.get(WORKERS):
        return whole(WORKERS, int(text) if text.isdecimal() else text, 0)
    return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, MOST)


class Ahead:
    """Batches of images, read ahead in the order in which the previous step requested them.

    The kinds of batches (streams, views) that one step requests are expected of the next as well, step after step and
    over the ends of epochs. Where the requests differ, what was read ahead is dropped, and reading ahead starts
    again with the next step. The batches never depend on any of this, nor on the number of workers.

    Args:
        images: What is read.
        request: What to read for a batch; a pure function.
        steps: In an epoch.
    """

    def __init__(self, images: LazyImages, request: Callable[[Place], Request], steps: int) -> None:
        self._images, self._request, self._steps = images, request, steps
        self._at: int | None = None  # a step, counted over all epochs
        self._step: dict[Kind, Tensor] = {}  # what this step has requested, for it may do so again
        self._feed: Iterator[Tensor] | None = None
        self._expected: Iterator[Place] = iter(())

    def read(self, place: Place) -> Tensor:
        """A batch ``[B, C, H, W]``, uint8, in memory.

        Raises:
            Unreadable: names the file.
            ChildProcessError: a worker process has died.
        """
        epoch, step, kind = place
        if (at := epoch * self._steps + step) != self._at:
            kinds = list(self._step) if self._at == at - 1 else []
            self._at, self._step = at, {}
            if self._feed is None and kinds and self._images.workers:
                self._expected = _follow(at, self._steps, kinds)
                self._feed = feed(self._images, map(self._request, _follow(at, self._steps, kinds)))
        if kind not in self._step:
            self._step[kind] = self._next(place)
        return self._step[kind]

    def close(self) -> None:
        """End the worker processes; a later `read` starts them again."""
        self._feed, self._step, self._at = None, {}, None

    def _next(self, place: Place) -> Tensor:
        if self._feed is not None:
            batches, self._feed = self._feed, None
            if next(self._expected) == place:
                x = next(batches)
                self._feed = batches  # only where that went well
                return x
            del batches
        return self._images.read(*self._request(place))


def _follow(first: int, steps: int, kinds: Sequence[Kind]) -> Iterator[Place]:
    """The places from a step on, counted over all epochs; holds no `Ahead`, so that it is collected with its owner."""
    return ((*divmod(number, steps), kind) for number in itertools.count(first) for kind in kinds)


def in_order(images: LazyImages, batch: int) -> Iterator[Tensor]:
    """All images once, as for evaluation, in batches ``[B, C, H, W]``, uint8, in memory."""
    numbers = torch.arange(len(images))
    return feed(images, ((numbers[first : first + batch], None) for first in range(0, len(images), batch)))


def feed(images: LazyImages, requests: Iterable[Request]) -> Iterator[Tensor]:
    """A batch for every request; workers read ahead of what has been taken.

    Dropping the iterator ends them.
    """
    if not images.workers or multiprocessing.current_process().daemon:  # which may have no children
        for request in requests:
            yield images.read(*request)
        return
    asked: deque[Request] = deque()  # whose images have not come yet
    late = threading.Event()
    try:
        for x, error in _in_time(
            images, _noted(requests, asked), late
        ):  # no name holds the workers: dropping ends them
            asked.popleft()
            if error:
                raise Unreadable(error)
            yield x
    except (RuntimeError, EOFError, OSError) as problem:
        if late.is_set():
            files = ", ".join(str(images.files.path(number)) for number in asked[0][0].tolist()[:3])
            raise ChildProcessError(
                f"{images.name}: no images for {_patience():g} s, of {files} ...: {HANGS}"
            ) from problem
        if isinstance(problem, RuntimeError) and "worker" not in str(problem):
            raise
        ways = f"where memory is short, lower workers={images.workers} or batch"
        raise ChildProcessError(f"{images.name}: a process that reads images has ended: {ways}") from problem


def _in_time(images: LazyImages, requests: Iterable[Request], late: threading.Event) -> Iterator[_Batch]:
    """What workers read; where a batch takes too long, they are killed, which PyTorch's loader then raises an error of.

    The loader's own time limit ends where a worker has announced a batch, and is stopped before it hands over its
    memory.
    """
    others = set(multiprocessing.active_children())
    batches = _started(images, requests)
    readers = set(multiprocessing.active_children()) - others

    def give_up() -> None:
        late.set()
        for worker in readers:
            worker.kill()  # one that waits for a file obeys nothing less

    while True:
        limit = threading.Timer(_patience(), give_up)
        limit.start()
        try:
            batch = next(batches, None)
        finally:
            limit.cancel()
        if batch is None:
            return
        yield batch


def _noted(requests: Iterable[Request], asked: "deque[Request]") -> Iterator[Request]:
    """Requests, each noted as it is handed out."""
    for request in requests:
        asked.append(request)
        yield request


def _patience() -> float:
    """For how many seconds images are waited for."""
    return float(os.environ.get(PATIENCE, 300))


class _Reader(Dataset[_Batch]):
    """What a worker process does; an error is returned as a value, so that its message stays the same."""

    def __init__(self, images: LazyImages) -> None:
        self.images = images

    def __getitem__(self, request: Request) -> _Batch:
        try:
            return self.images.read(*request), ""
        except Unreadable as error:
            return torch.empty(0), str(error)


def _started(images: LazyImages, requests: Iterable[Request]) -> Iterator[_Batch]:
    """Start the workers.

    Without PyTorch's handler that raises at an arbitrary point once one has died: the next batch raises anyway,
    some seconds later.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create")  # more workers than cores, as requested
        loader = DataLoader(
            _Reader(images),
            batch_size=None,
            sampler=requests,
            num_workers=images.workers,
            pin_memory=images.device.type == "cuda",
            worker_init_fn=_quiet,
            generator=torch.Generator(),  # its seed is not drawn from the training's own generator
        )
        if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGCHLD"):
            return iter(loader)
        before = signal.getsignal(signal.SIGCHLD)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # workers inherit it: Ctrl-C before `_quiet`
        try:
            batches = iter(loader)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL if before is None else before)
        return batches


def _quiet(_: int) -> None:
    """Ctrl-C is handled by the main process: it finishes its step, saves, and ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
