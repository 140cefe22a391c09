"""Train for a long time in one process, and see whether memory, file handles or threads grow.

    python tests/soak.py --minutes 60 --out soak

Small runs of several methods follow one another: each is broken off in its middle by closing its generator, gone on
with from its checkpoint, logged and evaluated, and its folder removed. Every few seconds a line says what the process
holds. Prints JSON: the change per hour of each quantity with its standard error, and whether that is flat; draws
``soak.svg``. Exit code 1 where something is not flat.
"""

import argparse
import itertools
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

METHODS = ("dml", "pskd", "okddip", "codistillation")
EPOCHS = 12
LIMITS = {"rss_mb": 10.0, "handles": 1.0, "threads": 1.0}  # the most per hour that is called flat
BLOCKS = 12  # means of the samples, through which the line goes
WARM = 0.1  # of the samples, left out at the start
T95 = 2.228  # of Student's t with BLOCKS - 2 degrees of freedom, two-sided


def holds():
    """What the process holds now: memory in MB, open handles, threads."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "rss_mb": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "handles": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
    }


def slope(hours, values):
    """The change per hour and its standard error, from a line through the means of blocks.

    Samples that follow one another are alike, so the error is that of the blocks; None: too few samples.
    """
    skipped = int(len(hours) * WARM)
    x, y = np.array(hours[skipped:], dtype=float), np.array(values[skipped:], dtype=float)
    if len(x) < 2 * BLOCKS:
        return None
    x, y = (np.array([block.mean() for block in np.array_split(each, BLOCKS)]) for each in (x, y))
    centred = x - x.mean()
    per_hour = float(centred @ y / (centred @ centred))
    rest = y - y.mean() - per_hour * centred
    return per_hour, float(np.sqrt(rest @ rest / (BLOCKS - 2) / (centred @ centred)))


def judged(found, limit):
    """``flat``, ``grows``, or ``undecided``: what the 95% interval of a slope says of a limit."""
    if found is None:
        return "undecided"
    low, high = found[0] - T95 * found[1], found[0] + T95 * found[1]
    return "flat" if high <= limit else "grows" if low > limit else "undecided"


def judgement(samples):
    """Of each quantity its first and last value, its change per hour and whether that is flat."""
    hours = [sample["seconds"] / 3600 for sample in samples]
    found = {}
    for name, limit in LIMITS.items():
        values = [sample[name] for sample in samples]
        line = slope(hours, values)
        found[name] = {
            "first": round(values[int(len(values) * WARM)], 1),
            "last": round(values[-1], 1),
            "most": round(max(values), 1),
            "per_hour": line and round(line[0], 3),
            "standard_error": line and round(line[1], 3),
            "limit_per_hour": limit,
            "judged": judged(line, limit),
        }
    return found


def turn(method, number, folder):
    """Begin a run, break it off, go on with it; yields at every record."""
    from codistill.run import Run
    from codistill.training.loop import resume, train
    from codistill.training.records import logged

    peers = {"pskd": 1, "okddip": 3}.get(method, 2)
    run = Run(method=method, peers=peers, labels=300, batch=50, models=("cnn:width=8",), epochs=EPOCHS)
    run = run.replace(checkpoint_every=2, execute=("loop", "stack")[number % 2], seed=number % 3)
    shutil.rmtree(folder, ignore_errors=True)
    records = logged(train(run, folder), folder)
    for record in records:
        yield record
        if record.kind == "step" and record.step > record.steps // 2:
            break
    records.close()
    yield from logged(resume(folder), folder)


def soak(minutes, every, tell=None):
    """The samples of so many minutes: what the process holds, steps so far, and the median seconds of a step since."""
    start, taken, steps, turns = time.monotonic(), [], 0, 0
    each, last_step, last_sample, samples = itertools.cycle(METHODS), None, start, []
    with tempfile.TemporaryDirectory() as home:
        while (now := time.monotonic()) - start < 60 * minutes:
            for record in turn(next(each), turns, Path(home, "run")):
                now = time.monotonic()
                if record.kind == "step":
                    steps += 1
                    if last_step is not None:
                        taken.append(now - last_step)
                last_step = now if record.kind == "step" else None
                if now - last_sample >= every and taken:
                    sample = {"seconds": round(now - start, 1), **holds(), "steps": steps, "turns": turns}
                    samples.append(sample | {"step_seconds": statistics.median(taken)})
                    taken, last_sample = [], now
                    if tell:
                        tell(samples[-1])
                if now - start >= 60 * minutes:
                    break
            turns += 1
    return samples


def draw(samples, path):
    """The quantities over time, one below the other."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    minutes = [sample["seconds"] / 60 for sample in samples]
    panels = (("rss_mb", "memory, MB", 1), ("handles", "open handles", 1), ("threads", "threads", 1))
    panels += (("step_seconds", "a step, ms", 1000),)
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "soak"}):
        figure, axes = plt.subplots(len(panels), sharex=True, figsize=(7, 6), layout="constrained")
        for axis, (name, label, scale) in zip(axes, panels, strict=True):
            axis.plot(minutes, [scale * sample[name] for sample in samples], linewidth=1)
            axis.set_ylabel(label)
            axis.set_ylim(bottom=0)
        axes[-1].set_xlabel("minutes")
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=5, help="seconds between two samples")
    parser.add_argument("--out", type=Path, default=Path("soak"), help="folder for samples.jsonl, soak.json, soak.svg")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    given.out.mkdir(parents=True, exist_ok=True)
    with (given.out / "samples.jsonl").open("w", buffering=1) as file:
        samples = soak(given.minutes, given.every, lambda sample: file.write(json.dumps(sample) + "\n"))
    if not samples:
        sys.exit("no sample was taken: give more --minutes")
    found = judgement(samples)
    last = samples[-1]
    result = {"minutes": round(last["seconds"] / 60, 1), "steps": last["steps"], "turns": last["turns"], **found}
    middle = statistics.median
    half = len(samples) // 2
    result["step_ms"] = {  # only told: it is the machine's load too
        "first_half": round(1000 * middle(s["step_seconds"] for s in samples[: half or 1]), 2),
        "second_half": round(1000 * middle(s["step_seconds"] for s in samples[half:]), 2),
    }
    draw(samples, given.out / "soak.svg")
    (given.out / "soak.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))
    sys.exit(any(each["judged"] != "flat" for each in found.values()))


if __name__ == "__main__":
    main()
