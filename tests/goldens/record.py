"""Record the goldens anew, from the code as it is: ``python tests/goldens/record.py [--only NAME ...]``.

``data/NAME.json`` holds the machine that it was recorded on, and of every entry the terms of each step, as hexadecimal
floats, and digests of what the training ended with. It prints which entries differ from those that were there.
"""

import argparse
import hashlib
import json
import math
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from goldens import scenarios

DATA = Path(__file__).parent / "data"
RELATIVE, ABSOLUTE = 1e-7, 1e-10  # how near terms have to be where the machine is another one
WIDER = {  # by words of an entry, or by file: single precision; gradients near a distance of 0; ranks with ties
    "float32": 1e-4,
    "rkd": 1e-4,
    "study": 1e-5,
}
STUDY, INTERRUPTED, SETTINGS = "study", "interrupted", "settings"
Entry = dict[str, Any]
Entries = dict[str, Entry]


def machine() -> dict[str, str]:
    """What decides the last bits of a result."""
    info = Path("/proc/cpuinfo")
    models = re.findall(r"^model name\s*: (.*)$", info.read_text(encoding="utf-8"), re.M) if info.exists() else []
    return {
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "scipy": version("scipy"),
        "machine": platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "processor": models[0] if models else platform.processor(),
    }


# Recording ----------------------------------------------------------------------------------------------------------


class Recorder:
    """Trains the scenarios in a folder of its own; a teacher is trained once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dataset = scenarios.load()
        self.teacher = folder / "teacher"
        self.count = 0
        with one_thread():
            scenarios.make_teacher(self.teacher, self.dataset)

    def entries(self, name: str) -> Entries:
        """All entries of a file, computed anew."""
        with one_thread():
            if name == STUDY:
                return self._study()
            if name == INTERRUPTED:
                return {n: self._interrupted(runs) for n, runs in scenarios.interrupted_runs()}
            all_runs = scenarios.settings_runs() if name == SETTINGS else scenarios.method_runs(name)
            return {n: self._trained(runs) for n, runs in all_runs}

    def _new_folder(self) -> Path:
        self.count += 1
        return self.folder / f"{self.count:04d}"

    def _trained(self, runs: Sequence[Any]) -> Entry:
        folder = self._new_folder()
        try:
            terms = scenarios.train_runs(runs, folder, self.teacher, self.dataset)
        except ValueError as error:
            return {"refused": str(error).replace(str(self.teacher), scenarios.TEACHER)}
        assert all(len(steps) == scenarios.STEPS for steps in terms)
        return {"terms": [_written(steps) for steps in terms], **self._end(folder, runs)}

    def _end(self, folder: Path, runs: Sequence[Any]) -> Entry:
        peers, state = scenarios.final_tensors(folder, runs)
        return {
            "peers": [[digest_of_peer(peer) for peer in of_run] for of_run in peers],
            "state": sorted(digest(t) for t in state.values()) if len(runs) == 1 else digests_of_values(state.values()),
        }

    def _interrupted(self, runs: Sequence[Any]) -> Entry:
        unbroken, left = self._new_folder(), self._new_folder()
        scenarios.train_runs(runs, unbroken, self.teacher, self.dataset)
        scenarios.leave_and_resume(runs, left, self.dataset)
        return {**self._end(left, runs), "ends_as_unbroken": scenarios.same_checkpoints(unbroken, left)}

    def _study(self) -> Entries:
        summary, results = scenarios.train_study(self._new_folder())
        return {"summary.json": summary, "results.jsonl": {"digest": hashlib.sha256(results).hexdigest()}}


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread inside: sums have one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _written(steps: Sequence[dict[str, list[float]]]) -> dict[str, list[str]]:
    """Of each term and step, the values of the peers as exact text."""
    return {name: [" ".join(v.hex() for v in terms[name]) for terms in steps] for name in steps[0]}


def _bytes(t: Tensor) -> bytes:
    return t.detach().contiguous().numpy().tobytes()


def digest(t: Tensor) -> str:
    """Of a tensor's raw bytes: neither names nor leading dims of size 1 matter."""
    return hashlib.sha256(_bytes(t)).hexdigest()


def digest_of_peer(tensors: dict[str, Tensor]) -> str:
    """Of a peer's parameters and buffers, with their names."""
    total = hashlib.sha256()
    for name, t in sorted(tensors.items()):
        total.update(f"{name} {t.dtype} {list(t.shape)}\n".encode())
        total.update(_bytes(t))
    return total.hexdigest()


def digests_of_values(tensors: Sequence[Tensor]) -> list[str]:
    """For each type, of the set of all values: it does not matter how several runs' state is put into tensors."""
    values: dict[str, list[np.ndarray]] = {}
    for t in tensors:
        values.setdefault(str(t.dtype), []).append(t.numpy().reshape(-1))
    return [hashlib.sha256(np.unique(np.concatenate(each)).tobytes()).hexdigest() for _, each in sorted(values.items())]


# Comparing ----------------------------------------------------------------------------------------------------------


def terms_that_moved(file: str, stored: Entries, fresh: Entries, *, exact: bool) -> list[str]:
    """Which entries, terms and steps of a file differ; numbers and refusals, no digests."""
    moved = [f"{name}: is {'gone' if name in stored else 'new'}" for name in sorted(stored.keys() ^ fresh.keys())]
    for name in stored:
        if name in fresh:
            wider = [tolerance for words, tolerance in WIDER.items() if words == file or words in name]
            tolerance = 0.0 if exact else max(wider, default=RELATIVE)
            pair = _without(stored[name]), _without(fresh[name])
            moved += [f"{name}: {line}" for line in _differences(*pair, tolerance)]
    return moved


def digests_that_moved(stored: Entries, fresh: Entries) -> list[str]:
    """Which entries end with other tensors."""
    moved = []
    for name in stored:
        if name in fresh:
            pair = [{k: v for k, v in entry.items() if k in DIGESTS} for entry in (stored[name], fresh[name])]
            moved += [f"{name}: {line}" for line in _differences(*pair, tolerance=0.0)]
    return moved


DIGESTS = ("peers", "state", "digest")  # of an entry, what is no number


def _without(entry: Entry) -> Entry:
    """An entry without its digests; a study's summary has `rows`, and peers in them, but no digests."""
    return entry if "rows" in entry else {k: v for k, v in entry.items() if k not in DIGESTS}


def _differences(one: Any, two: Any, tolerance: float, where: str = "") -> list[str]:
    """The paths at which two JSON values differ; of a list of steps, the first one."""
    if isinstance(one, dict) and isinstance(two, dict):
        lines = [f"{where}{key} is {'gone' if key in one else 'new'}" for key in sorted(one.keys() ^ two.keys())]
        for key in one:
            if key in two:
                lines += _differences(one[key], two[key], tolerance, f"{where}{key} ")
        return lines
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        each = [_differences(a, b, tolerance, f"{where}[{i}] ") for i, (a, b) in enumerate(zip(one, two, strict=True))]
        differ = [lines for lines in each if lines]
        if one and isinstance(one[0], str) and len(differ) > 1:  # steps, or digests
            return [f"{differ[0][0]} (the first of {len(differ)} of {len(each)})"]
        return [line for lines in differ for line in lines]
    return [] if _same(one, two, tolerance) else [f"{where.strip()}: {one} -> {two}"]


def _same(one: Any, two: Any, tolerance: float) -> bool:
    """Whether two values are equal, or within a relative tolerance numbers, or texts of hexadecimal ones."""
    if one == two or not tolerance:
        return bool(one == two)
    try:
        a, b = ([float.fromhex(v) for v in x.split()] if isinstance(x, str) else [float(x)] for x in (one, two))
    except (TypeError, ValueError):
        return False
    close = [math.isclose(x, y, rel_tol=tolerance, abs_tol=ABSOLUTE) for x, y in zip(a, b, strict=False)]
    return len(a) == len(b) and all(close)


# Files --------------------------------------------------------------------------------------------------------------


def names() -> list[str]:
    """All files that are recorded, by name."""
    return [*scenarios.METHODS, SETTINGS, INTERRUPTED, STUDY]


def read(name: str) -> tuple[dict[str, str], Entries]:
    """The machine that a file was recorded on, and its entries; nothing where it is not there."""
    path = DATA / f"{name}.json"
    if not path.exists():
        return {}, {}
    stored = json.loads(path.read_text(encoding="utf-8"))
    return stored["machine"], stored["entries"]


def write(name: str, entries: Entries) -> None:
    """One line for each entry, so that a diff shows which have moved."""
    lines = [f"  {json.dumps(key)}: {json.dumps(entry, separators=(',', ':'))}" for key, entry in entries.items()]
    text = f'{{"machine": {json.dumps(machine())},\n "entries": {{\n' + ",\n".join(lines) + "\n}}\n"
    (DATA / f"{name}.json").write_text(text, encoding="utf-8")


def main(only: Sequence[str], say: Callable[[str], None] = print) -> None:
    """Record, and say what has moved."""
    if unknown := set(only) - set(names()):
        raise SystemExit(f"there is no golden called {', '.join(sorted(unknown))}; there are: {', '.join(names())}")
    DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder))
        for name in only or names():
            before, stored = read(name)
            fresh = recorder.entries(name)
            moved = terms_that_moved(name, stored, fresh, exact=before == machine())
            if before == machine():
                moved += digests_that_moved(stored, fresh)
            write(name, fresh)
            say(f"{name}: {len(moved) or 'none'} of {len(fresh)} entries' values moved" if stored else f"{name}: new")
            for line in moved if stored else ():
                say(f"  {line}")
    if not only:
        for path in DATA.glob("*.json"):
            if path.stem not in names():
                path.unlink()
                say(f"{path.stem}: removed")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="NAME", help="these files alone: " + ", ".join(names())
    )
    main(parser.parse_args().only)
