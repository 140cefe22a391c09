"""Damage files of runs and comparisons at random: each damage is detected, or changes nothing that is read.

    python tests/random_damage.py --trials 600 --seed 0

A bit is flipped, a block is zeroed, overwritten at random, doubled or left out, or the file is cut short. Pages
(html, md, svg) are made from the other files and not looked at.
"""

import argparse
import json
import random
import tempfile
import warnings
from collections import Counter
from pathlib import Path

from codistill import checkpoint, files
from codistill.cli.commands.verify import verify
from codistill.training.decisions import read_decisions
from codistill.training.records import read_log
from crash_points import BASE, compares, trains

PAGES = {".html", ".md", ".svg", ""}


def flip(content, chance):
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return content


def block(content, chance):
    start = chance.randrange(len(content))
    return start, min(len(content), start + chance.choice([1, 16, 512, 4096]))


def zero(content, chance):
    start, end = block(content, chance)
    content[start:end] = bytes(end - start)
    return content


def overwrite(content, chance):
    start, end = block(content, chance)
    content[start:end] = chance.randbytes(end - start)
    return content


def double(content, chance):
    start, end = block(content, chance)
    return content[:end] + content[start:]


def leave_out(content, chance):
    start, end = block(content, chance)
    return content[:start] + content[end:]


def cut(content, chance):
    return content[: chance.randrange(len(content))]


DAMAGES = (flip, flip, zero, overwrite, double, leave_out, cut)


def read(folder):
    """Everything that is read of a folder, as values."""
    found = {}
    for path in sorted(folder.rglob("*.json")):
        if "checkpoints" not in path.parts:
            found[str(path)] = files.read_json(path, object)
    for runs in sorted(folder.rglob("runs.json")):
        home = runs.parent
        newest, saved = checkpoint.newest_whole(home)
        tensors = {**saved.peers, **{f"state {name}": t for name, t in saved.state.items()}}
        found[str(newest)] = saved.facts, {name: t.numpy().tobytes() for name, t in sorted(tensors.items())}
        decisions = read_decisions(home)
        found[f"{home} decisions"] = {n: (d.classes.tolist(), d.labels.tolist()) for n, d in decisions.items()}
        found[f"{home} log"] = read_log(home)
    for path in sorted(folder.rglob("results.jsonl")):
        found[str(path)] = files.read_lines(path)
    return found


def problems(folder):
    return [problem.text for found in verify(folder) for problem in found]


def trial(folder, expected, chance):
    """Damage one file: what was done, to which, and how that went; the file is then as it was."""
    paths = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.suffix not in PAGES and p.stat().st_size]
    path, damage = chance.choice(paths), chance.choice(DAMAGES)
    whole = path.read_bytes()
    path.write_bytes(damage(bytearray(whole), chance))
    same_bytes = path.read_bytes() == whole
    try:
        if same_bytes:
            return damage.__name__, path.name, "no change"
        if problems(folder):
            return damage.__name__, path.name, "detected"
        same = repr(read(folder)) == expected
        return damage.__name__, path.name, "harmless" if same else "UNNOTICED"
    finally:
        path.write_bytes(whole)


def trials(count, seed):
    """The outcomes of so many damages, a line each."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as home, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run, study = Path(home, "run"), Path(home, "study")
        trains(BASE)(run)
        compares(["dml"], report=False)(study)  # pages are not looked at
        assert not problems(run) + problems(study)
        folders = [(folder, repr(read(folder))) for folder in (run, study)]
        return [trial(*chance.choice(folders), chance) for _ in range(count)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    outcomes = trials(given.trials, given.seed)
    print(json.dumps(Counter(outcome for *_, outcome in outcomes)))
    bad = [each for each in outcomes if each[-1] == "UNNOTICED"]
    print(*bad, sep="\n")
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    main()
