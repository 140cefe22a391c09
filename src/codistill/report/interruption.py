"""SIGINT (Ctrl-C), SIGTERM and SIGHUP: the step is finished, a checkpoint written, and the exit code says which."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from codistill.training.records import Record

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
AT_ONCE = 3  # so many signals end the process wherever it is


class Interrupted(KeyboardInterrupt):
    """The process was asked to end; the records were closed at the end of a step.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int, record: Record | None = None) -> None:
        self.number = number
        stopped = record is not None and record.steps
        super().__init__(f"stopped after step {record.step} of {record.steps}" if stopped and record else "interrupted")

    @property
    def exit_code(self) -> int:
        """As a shell has it: 130 after SIGINT, 143 after SIGTERM, 129 after SIGHUP."""
        return 128 + self.number


class Stop:
    """What signals have asked for.

    Attributes:
        number: of the first signal; 0: none has come.
        begun: whether there is something to finish; a signal before that ends it at once.
    """

    def __init__(self) -> None:
        self.number, self.count, self.begun = 0, 0, False

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """A signal has come."""
        self.count += 1
        self.number = self.number or number
        if not self.begun:
            raise Interrupted(number)
        if self.count >= AT_ONCE:
            os.write(2, b"\x1b[?25h\ncodistill: ended at once\n")  # with the cursor that a bar had hidden
            os._exit(128 + number)
        if self.count > 1:
            os.write(2, b"\ncodistill: finishing the step and writing a checkpoint; once more ends at once\n")


@contextmanager
def signals() -> Iterator[Stop]:
    """Signals are noted while this is open; those that are ignored (nohup) stay so."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    taken = [number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, stop) for number in taken}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


__all__ = ["Interrupted", "Stop", "signals"]
