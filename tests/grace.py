"""Whether a training ends in order in the 10 seconds that some schedulers leave between SIGTERM and SIGKILL.

    python tests/grace.py

A real command is started three ways: under ``timeout -k 10``, which sends both; by a shell that is replaced by it
(``exec``), as the leader of a process group to which the signals go, like a step of SLURM; and in a shell that is not
replaced, where they reach the shell as well. Then it is resumed, and its end compared with that of an unbroken one.
Prints a JSON line for each: exit code (143; 137 or -9 where it had to be killed), seconds from SIGTERM to the end,
how busy the machine was, and whether the ends are equal.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from codistill.checkpoint import load, newest_whole
from codistill.files import read_lines

EPOCHS = 40
WAYS = ("timeout", "exec", "shell")


def words(folder, epochs=EPOCHS):
    """The command, as it is typed."""
    train = f"train --labels 60 --batch 20 --models cnn:width=4 --execute loop --epochs {epochs} --name it"
    return [sys.executable, "-m", "codistill", *train.split(), "--runs", str(folder)]


def broken_off(way, folder, grace=10, epochs=EPOCHS):
    """Exit code, and the seconds from SIGTERM to the end, of a command that is asked to end in the middle."""
    command = words(folder, epochs)
    typed = " ".join(f"'{word}'" for word in command)
    if way == "timeout":
        command = ["timeout", "-k", str(grace), "1000", *command]
    elif way == "exec":
        command = ["sh", "-c", f"exec {typed}"]
    else:
        command = ["sh", "-c", f"trap : TERM; {typed}; exit $?"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    for line in process.stdout:
        if re.search(r"step \d+ of", line):
            break
    start = time.monotonic()
    if way == "timeout":
        process.send_signal(signal.SIGTERM)  # which passes it on, and sends SIGKILL after the grace
    else:
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.communicate(timeout=2 * grace if way == "timeout" else grace)  # it kills by itself
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return process.returncode, time.monotonic() - start


def ended(folder):
    """The networks, optimizer state and results of a finished run."""
    saved = load(newest_whole(folder)[0])
    tensors = {**saved.peers, **saved.state}
    return read_lines(folder / "results.jsonl"), {name: tensor.tolist() for name, tensor in tensors.items()}


def tried(way, home, whole, grace=10, epochs=EPOCHS):
    """One way: what it ended with, and whether it was gone on with to the same end."""
    code, seconds = broken_off(way, home, grace, epochs)
    folder = home / "it"
    step = newest_whole(folder)[1].facts["step"]
    finished = (folder / "results.jsonl").exists()
    subprocess.run([sys.executable, "-m", "codistill", "resume", folder], check=True, capture_output=True)
    return {
        "way": way,
        "exit_code": code,
        "seconds": round(seconds, 2),
        "processes_per_core": round(os.getloadavg()[0] / os.cpu_count(), 1),
        "step": step,
        "in_the_middle": not finished,
        "same_end": ended(folder) == whole,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grace", type=float, default=10)
    given = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as home:
        subprocess.run(words(Path(home, "whole")), check=True, capture_output=True)
        whole = ended(Path(home, "whole", "it"))
        for way in WAYS:
            found = tried(way, Path(home, way), whole, given.grace)
            print(json.dumps(found), flush=True)
            good &= found["same_end"] and found["exit_code"] == 143
    sys.exit(not good)


if __name__ == "__main__":
    main()
