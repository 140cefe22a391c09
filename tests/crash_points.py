"""Stop a training or a comparison before every operation on its files, go on, and compare the end with an unbroken one.

    python tests/crash_points.py --methods dml pskd okddip codistillation

A process is forked for every point and ends there (`os._exit`, so nothing that Python still holds is written). What
counts as an operation: whatever Python's audit hooks report of the folder (open for writing, rename, remove, mkdir,
chmod, truncate), and every fsync. Prints how many points there were, and which of them lost something.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

from rich.console import Console
from safetensors.torch import load_file

from codistill import checkpoint, study as studies
from codistill.cli.finish import write_report_of
from codistill.files import read_lines
from codistill.run import Run
from codistill.study import Row, Study
from codistill.training.loop import resume, train
from codistill.training.records import logged, read_log

STOPPED, UNEXPECTED = 3, 4
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod", "os.link", "os.symlink"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
BASE = Run(labels=40, batch=20, models=("mlp:hidden=4",), epochs=2, checkpoint_every=1, execute="loop")


class Counter:
    """Counts the operations on files below a folder, and ends the process before one of them."""

    def __init__(self, folder, stop):
        self.folder, self.stop, self.count = str(folder), stop, 0
        sys.addaudithook(self)
        fsync = os.fsync

        def counted(number):
            self.point()
            fsync(number)
            self.point()

        os.fsync = counted

    def __call__(self, event, args):
        if (event == "open" and isinstance(args[2], int) and args[2] & WRITING) or event in CHANGES:
            self.point(args[0])

    def point(self, path=None):
        if path is None or (isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self.folder)):
            self.count += 1
            if self.count == self.stop:
                os._exit(STOPPED)


def run_of(method):
    """A small run of a method."""
    return BASE.replace(method=method, peers={"pskd": 1, "byot": 1, "okddip": 3}.get(method, 2))


def trains(run):
    """Train it, or go on with it."""

    def go(folder):
        begun = (folder / "runs.json").exists()
        for _ in logged(resume(folder) if begun else train(run, folder), folder):
            pass

    return go


def compares(methods, report=True):
    """Compare methods, or go on with that, and write the report."""
    study = Study("crash", BASE, tuple(Row(method) for method in methods), seeds=(0, 1), quick=True)

    def go(folder):
        for _ in studies.compare(study, folder, go_on=(folder / "study.json").exists()):
            pass
        if report:
            write_report_of(folder, Console(quiet=True))

    return go


def reports(study):
    """Write the report of a copy of a finished comparison."""

    def go(folder):
        shutil.copytree(study, folder, dirs_exist_ok=True)
        write_report_of(folder, Console(quiet=True))

    return go


def ended(folder):
    """What a folder ends with: results, epochs and networks of all its runs, and the summary's rows."""
    found = {}
    for runs in sorted(folder.rglob("runs.json")):
        home, name = runs.parent, str(runs.parent.relative_to(folder))
        found[f"{name} results"] = read_lines(home / "results.jsonl")
        kept = [{k: v for k, v in line.items() if k != "seconds"} for line in read_log(home)]
        found[f"{name} log"] = [line for line in kept if line["kind"] == "epoch"]
        newest, _ = checkpoint.newest_whole(home)
        for file in ("peers", "state"):
            tensors = load_file(newest / f"{file}.safetensors")
            found[f"{name} {file}"] = {key: tensor.numpy().tobytes().hex() for key, tensor in tensors.items()}
    if (folder / "study.json").exists():
        found["rows"] = json.loads((folder / "summary.json").read_text())["rows"]
        found["pages"] = [(folder / page).exists() for page in ("report.html", "report.md")]
    return found


def forked(action):
    """Run it in a process of its own: its exit code."""
    child = os.fork()
    if not child:
        try:
            action()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(UNEXPECTED)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def sweep(go, every=1):
    """The number of points, and what was lost at which: empty where nothing was.

    Args:
        go: trains in a folder, or goes on there.
        every: try each how many-th point.
    """
    with tempfile.TemporaryDirectory() as home:
        whole, folder = Path(home, "whole"), Path(home, "broken", "run")
        go(whole)
        expected, lost, point = ended(whole), [], 1
        while True:
            shutil.rmtree(folder.parent, ignore_errors=True)

            def broken_off(point=point):
                Counter(folder, point)
                go(folder)

            if (code := forked(broken_off)) == 0:
                return point - 1, lost
            if code != STOPPED:
                lost.append((point, f"ended with {code}"))
            elif forked(lambda: go(folder)) or ended(folder) != expected:
                lost.append((point, "another end, or none"))
            elif left := [str(path) for path in folder.rglob(".*.part")]:
                lost.append((point, f"left behind: {left}"))
            point += every


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=["dml", "pskd", "okddip", "codistillation"])
    parser.add_argument("--study", action="store_true", help="a comparison of these methods in place of a run of each")
    parser.add_argument("--every", type=int, default=1, help="try each how many-th point")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    kinds = {"comparison": compares(given.methods)} if given.study else {m: trains(run_of(m)) for m in given.methods}
    failed = False
    for name, go in kinds.items():
        points, lost = sweep(go, given.every)
        print(
            json.dumps({"what": name, "points": points, "tried": -(-points // given.every), "lost": lost}), flush=True
        )
        failed |= bool(lost)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
