"""How long the command line takes to say something, in seconds of the process, against Python itself."""

import os
import subprocess
import sys
from collections.abc import Iterator

from measure import Row, row


def rows(quick: bool, rounds: int) -> Iterator[Row]:
    """Of words that need no network."""
    python = [sys.executable, "-c", "pass"]
    for words in (["--help"],) if quick else (["--help"], ["train", "--help"], ["list", "methods"]):
        command = [sys.executable, "-m", "codistill", *words]
        times = [(seconds(command), seconds(python)) for _ in range(1 if quick else max(3, rounds // 10))]
        ours, theirs = (list(side) for side in zip(*times, strict=True))
        yield row("startup", f"codistill {' '.join(words)}", ours, theirs, other="python -c pass")


def seconds(command: list[str]) -> float:
    """Of a processor, of a command that is started and ends well."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{' '.join(command)} failed with {child.returncode}")
    return used.ru_utime + used.ru_stime
