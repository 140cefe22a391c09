"""A stand-in for Ray, and a method that is lost.

Each task is a forked process of this machine, which is begun again where it is lost.
"""

import os
import pickle
import signal
import time
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace

from codistill.methods.dml import DML


class Losing(DML):
    """DML whose process is lost in the middle, as many times as there are files to say so."""

    def after_step(self, cohort, batch, progress):
        left = sorted(Path().glob("lose-*")) if progress >= 0.5 else []
        if left and "IN_A_TASK" in os.environ:
            left[0].unlink()
            os._exit(9)  # as where a machine goes down


class RayError(Exception):
    pass


class RayTaskError(RayError):
    def __init__(self, cause):
        super().__init__(str(cause))
        self.cause = cause


class Task:
    """A task on its way, as the reference to what it gives."""

    def __init__(self, work, arguments, retries):
        self.work, self.arguments, self.left = work, arguments, retries
        self.cancelled, self.given = False, None
        self.begin()

    def begin(self):
        context = get_context("fork")
        self.answer, there = context.Pipe(duplex=False)
        self.process = context.Process(target=self.run, args=(there,))
        self.process.start()
        there.close()

    def run(self, there):
        os.environ["IN_A_TASK"] = "1"
        try:
            there.send_bytes(pickle.dumps((self.work(*self.arguments), None)))
        except Exception as error:
            there.send_bytes(pickle.dumps((None, error)))

    def ended(self):
        """Whether it has; a lost one is begun again as often as it may be."""
        if self.given is None and self.answer.poll():
            try:
                self.given = self.answer.recv_bytes()
            except EOFError:
                self.process.join()
                if self.left and not self.cancelled:
                    self.left -= 1
                    self.begin()
                    return False
                self.given = b""
        return self.given is not None


class Rayless:
    """What of the library is used."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self):
        self.tasks, self.joined, self.asked = [], False, []

    def is_initialized(self):
        return self.joined

    def init(self, **_):
        self.joined = True

    def shutdown(self):
        self.joined = False
        for task in self.tasks:
            task.process.join()

    def put(self, value):
        return value

    def remote(self, **resources):
        self.asked.append(resources)

        def made(work):
            def begin(*arguments):
                self.tasks.append(Task(work, arguments, resources["max_retries"]))
                return self.tasks[-1]

            return SimpleNamespace(remote=begin)

        return made

    def wait(self, tasks, num_returns=1, timeout=0.0):
        give_up = time.monotonic() + timeout
        while sum(task.ended() for task in tasks) < min(num_returns, len(tasks)) and time.monotonic() < give_up:
            time.sleep(0.005)
        return [task for task in tasks if task.ended()], [task for task in tasks if not task.ended()]

    def get(self, task):
        if not task.given:
            raise RayError("the worker died")
        value, error = pickle.loads(task.given)
        task.process.join()
        if error is not None:
            raise RayTaskError(error)
        return value

    def cancel(self, task):
        task.cancelled = True
        if task.process.is_alive():
            os.kill(task.process.pid, signal.SIGINT)
