"""Processes that read pictures ahead of the training, and in order for an evaluation."""

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from codistill.checks import whole
from codistill.data.cut import Unreadable
from codistill.data.pictures import Pictures

WORKERS = "CODISTILL_WORKERS"  # the environment variable for their number, where a data set's spec does not say it
MOST = 8  # unless another number is asked for

Kind = tuple[str, int, int]  # what for, stream, view
Place = tuple[int, int, Kind]  # epoch, step, kind
_Batch = tuple[Tensor, str]  # pictures, what is wrong
Ask = tuple[Tensor, Tensor | None]  # places in the set, and what is drawn for their cuts


def count(asked: int | None, name: str) -> int:
    """How many worker processes: as asked, else as CODISTILL_WORKERS says, else one for each core, at most 8.

    Raises:
        ValueError: not a whole number of 0 or more; names the setting.
    """
    if asked is None and (text := os.environ.get(WORKERS)):
        return whole(WORKERS, int(text) if text.isdecimal() else text, 0)
    if asked is None:
        return min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, MOST)
    return whole(f"{name}: workers", asked, 0)


class Ahead:
    """Batches of pictures, read ahead in the order in which the step before asked for them.

    The kinds of batches (streams, views) that one step asks for are expected of the next as well, step after step and
    over the ends of epochs. Where the calls go another way, what was read ahead is dropped, and reading ahead starts
    again with the next step. What is given never depends on any of this, nor on the number of workers.

    Args:
        pictures: What is read.
        ask: What to read for a batch; a pure function.
        steps: In an epoch.
    """

    def __init__(self, pictures: Pictures, ask: Callable[[Place], Ask], steps: int) -> None:
        self._pictures, self._ask, self._steps = pictures, ask, steps
        self._at: tuple[int, int] | None = None
        self._step: dict[Kind, Tensor] = {}  # what this step has asked for, for it may ask again
        self._feed: Iterator[Tensor] | None = None
        self._expected: Iterator[Place] = iter(())

    def read(self, place: Place) -> Tensor:
        """A batch ``[B, C, H, W]``, uint8, in memory.

        Raises:
            Unreadable: names the file.
            ChildProcessError: a worker process has died.
        """
        epoch, step, kind = place
        if (epoch, step) != self._at:
            kinds = list(self._step) if self._at == self._before(epoch, step) else []
            self._at, self._step = (epoch, step), {}
            if self._feed is None and kinds and self._pictures.workers:
                self._expected = _follow(epoch, step, self._steps, kinds)
                self._feed = feed(self._pictures, map(self._ask, _follow(epoch, step, self._steps, kinds)))
        if kind not in self._step:
            self._step[kind] = self._next(place)
        return self._step[kind]

    def close(self) -> None:
        """End the worker processes; a later `read` starts them anew."""
        self._feed = None
        self._step = {}
        self._at = None

    def _next(self, place: Place) -> Tensor:
        if self._feed is not None:
            batches, self._feed = self._feed, None
            if next(self._expected) == place:
                x = next(batches)
                self._feed = batches  # only where that went well
                return x
            del batches
        return self._pictures.read(*self._ask(place))

    def _before(self, epoch: int, step: int) -> tuple[int, int]:
        return (epoch, step - 1) if step else (epoch - 1, self._steps - 1)


def _follow(epoch: int, step: int, steps: int, kinds: Sequence[Kind]) -> Iterator[Place]:
    """The places from a step on, of so many steps in an epoch; holds no `Ahead`, so that this ends with its owner."""
    while True:
        for kind in kinds:
            yield epoch, step, kind
        epoch, step = (epoch, step + 1) if step + 1 < steps else (epoch + 1, 0)


def in_order(pictures: Pictures, batch: int) -> Iterator[Tensor]:
    """All pictures once, as for evaluation, in batches ``[B, C, H, W]``, uint8, in memory."""
    places = torch.arange(len(pictures))
    return feed(pictures, ((places[first : first + batch], None) for first in range(0, len(pictures), batch)))


def feed(pictures: Pictures, asks: Iterable[Ask]) -> Iterator[Tensor]:
    """A batch for everything that is asked for; workers read ahead of what has been taken.

    Dropping the iterator ends them.
    """
    if not pictures.workers or multiprocessing.current_process().daemon:  # which may have no children
        for ask in asks:
            yield pictures.read(*ask)
        return
    batches = _started(pictures, asks)
    while True:
        try:
            x, error = next(batches)
        except StopIteration:
            return
        except (RuntimeError, EOFError, OSError) as problem:
            if isinstance(problem, RuntimeError) and "worker" not in str(problem):
                raise
            raise ChildProcessError(
                f"{pictures.name}: a process that reads pictures has ended: where memory is short, lower "
                f"workers={pictures.workers} or batch"
            ) from problem
        if error:
            del batches  # ends the workers, even while somebody looks at what is raised
            raise Unreadable(error)
        yield x


class _Reader(Dataset[_Batch]):
    """What a worker process does; an error comes back as a value, so that its message stays as it is."""

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures

    def __getitem__(self, ask: Ask) -> _Batch:
        try:
            return self.pictures.read(*ask), ""
        except Unreadable as error:
            return torch.empty(0), str(error)


def _started(pictures: Pictures, asks: Iterable[Ask]) -> Iterator[_Batch]:
    """Start the workers.

    Without the handler of PyTorch's that raises at any place whatever once one has died: the next batch raises anyway,
    some seconds later.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create")  # more workers than cores, as was asked for
        loader = DataLoader(
            _Reader(pictures),
            batch_size=None,
            sampler=asks,
            num_workers=pictures.workers,
            pin_memory=pictures.device.type == "cuda",
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
    """Ctrl-C is the main process's to answer: it finishes its step, saves, and ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
