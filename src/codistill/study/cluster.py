"""A study's parts as tasks of Ray, on one machine or many."""

import os
import signal
import threading
import time
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import chdir, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codistill import discovery, files
from codistill.checks import number as checked, whole
from codistill.data.examples import DataSet
from codistill.exchange import Lost
from codistill.libraries import needed, said_by
from codistill.locks import Held
from codistill.spec import Spec
from codistill.study import (
    POLLED,
    Study,
    begin,
    compare,
    finished,
    is_free,
    is_ready,
    parts,
    teachers_for,
    trained,
)
from codistill.study.beforehand import check_rows
from codistill.study.in_python import Factory, in_python
from codistill.training.given import Given
from codistill.training.records import Record

GRACE = 120.0  # seconds in which tasks that are cancelled finish their step and write a checkpoint


@dataclass(frozen=True)
class Ray:
    """Ray (https://docs.ray.io), and what each part of a study asks of it.

    The cluster is the one that ``RAY_ADDRESS`` names or that runs on this machine; without one, this machine is it.

    Args:
        cpus: of each part; also its number of threads.
        gpus: of each part; below 1, several parts share one. 0: parts are trained on the CPU.
        retries: how often a part whose worker was lost is begun again; it goes on from its newest checkpoint.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    retries: int = 3

    def __post_init__(self) -> None:
        checked("cpus", self.cpus, 0.0)
        checked("gpus", self.gpus, 0.0)
        whole("retries", self.retries, 0)

    def compare(
        self,
        study: Study,
        folder: str | Path,
        *,
        go_on: bool = False,
        command: str = "",
        dataset: DataSet | None = None,
        networks: Sequence[Factory] | None = None,
        trusted: Collection[str] | None = (),
    ) -> Generator[Record, None, None]:
        """As `codistill.study.compare`, and with its results, but that each part is trained in a task of its own.

        Its folder is on a file system that all machines see; they have this package, and the data where the runs say.
        Every task takes its part by the folder's lock, so plain processes and other jobs may share the work. A part is
        a `Record` of kind ``part`` when it is finished. Closing the generator lets all tasks write a checkpoint.

        Args:
            study, folder, go_on, command, dataset, networks: as there; what is given in Python is sent to the workers.
            trusted: the user's modules that workers may import; None: any.

        Raises:
            ImportError: Ray is not installed.
            Lost: a part's worker was lost too often.
        """
        folder = Path(folder).absolute()
        if not go_on and not is_free(folder):
            raise FileExistsError(f"{folder} already exists: resume it, or choose another name")
        library = needed("ray", "ray", "--on ray")
        named, given = in_python(study, dataset, networks)
        if files.read_if_whole(folder / "study.json") is None:
            check_rows(named, given)
        with _cluster(library):
            yield from Spread(self, library, named, folder, given, trusted).records(command)
        yield from compare(study, folder, go_on=True, command=command, dataset=dataset, networks=networks)


@dataclass(frozen=True)
class Spread:
    """A study whose parts are trained by tasks."""

    on: Ray
    library: Any
    study: Study
    folder: Path
    given: Given
    trusted: Collection[str] | None

    def records(self, command: str) -> Iterator[Record]:
        """A record of each part that is finished, and of the time between."""
        todo = parts(self.study, self.folder)
        left = [number for number, part in enumerate(todo) if not finished(part.folder)]
        sent = self.library.put((self.study, self.folder, self.given, self.trusted, os.getcwd()))
        task = self.library.remote(num_cpus=self.on.cpus, num_gpus=self.on.gpus, max_retries=self.on.retries)(work_on)
        running: dict[Any, int] = {}
        try:
            while left:
                for number in set(left) - set(running.values()):
                    if is_ready(self.study, todo[number], teachers_for(self.study, todo, todo[number])):
                        running[task.remote(sent, number)] = number
                ended, _ = self.library.wait(list(running), timeout=POLLED)
                if any((part.folder / "runs.json").exists() for part in todo):
                    begin(self.study, self.folder, command)  # only now: invalid settings leave no folder behind
                numbers = {running.pop(reference): reference for reference in ended}
                for number in [number for number, reference in numbers.items() if self._is_done(reference, number)]:
                    left.remove(number)
                    methods = list(dict.fromkeys(str(run.method) for run in todo[number].runs))
                    yield Record("part", 0, 0, facts={"part": number + 1, "parts": len(todo), "methods": methods})
                yield Record("waiting", 0, 0, facts={"for": f"{len(left)} parts on Ray"})
        finally:
            for reference in running:
                self.library.cancel(reference)
            if running:
                self.library.wait(list(running), num_returns=len(running), timeout=GRACE)

    def _is_done(self, reference: Any, number: int) -> bool:
        """Whether a task has trained its part; not where another process has it.

        Raises:
            Lost: its worker was lost too often. What else a task raises is raised as it is.
        """
        try:
            return bool(self.library.get(reference))
        except self.library.exceptions.RayTaskError as error:
            raise error.cause from None
        except self.library.exceptions.RayError as error:
            what = f"part {number + 1}: Ray lost its worker {self.on.retries + 1} times ({said_by(error)})"
            raise Lost(f"{what}; once it is clear why, codistill resume {self.folder} --on ray") from None


def work_on(sent: tuple[Study, Path, Given, Collection[str] | None, str], number: int) -> bool:
    """In a worker: train or resume a part. False: another process has it, or it was cancelled, with a checkpoint."""
    study, folder, given, trusted, home = sent
    todo = parts(study, folder)
    teachers = teachers_for(study, todo, todo[number])
    with chdir(home) if Path(home).is_dir() else nullcontext(), discovery.trusting(trusted), _cancelled() as cancelled:
        records = trained(study, todo[number], {**given, "teachers": teachers})
        try:
            for _ in records:
                if cancelled:
                    records.close()
                    return False
        except Held:
            time.sleep(POLLED)
            return False
    return True


@contextmanager
def _cancelled() -> Iterator[list[int]]:
    """Inside, what `ray.cancel` sends (SIGINT) is noted."""
    noted: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: noted.append(number))
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _cluster(library: Any) -> Iterator[None]:
    """The cluster that this process is of already, or joins meanwhile; signals go where they went before."""
    if library.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers about every use
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        library.init(log_to_driver=False, logging_level="warning", include_dashboard=False)
    except Exception as error:  # Ray raises Exception itself where a machine is too busy
        raise OSError(f"on=ray: no cluster could be joined or started: {said_by(error)}") from error
    if main:
        signal.signal(signal.SIGTERM, before)
    try:
        yield
    finally:
        library.shutdown()


def cluster(on: str) -> Ray:
    """What a command is told: ``ray``, ``ray:cpus=2,gpus=0.5``.

    Raises:
        UnknownName: nothing, or no option, is called so.
        ValueError: an invalid value.
    """
    built: Ray = discovery.construct(__name__, Spec.of(on))
    return built


ray = Ray

__all__ = ["ray"]
