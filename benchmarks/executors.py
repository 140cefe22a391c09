"""How fast is a stack beside a loop? Ratios within one run, since machines are noisy.

    python benchmarks/executors.py [--rounds 10]

For each case both executors take optimizer steps of DML in turn; printed is the median over rounds of loop / stack
seconds with its quartiles. Above 1 the stack is faster. Writes `benchmarks/results/executors.json`.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import torch

from codistill.run import Run
from codistill.study import versions
from codistill.training.build import build_fleet
from codistill.training.fleet import Fleet
from codistill.training.step import take

SMALL = Run(data="digits", labels=300, batch=30, models=("cnn",), method="dml", precision="float32")
CASES = {
    "cnn on digits, 2 networks": SMALL.replace(peers=2),
    "cnn on digits, 4 networks": SMALL.replace(peers=4),
    "cnn on digits, 20 networks": SMALL.replace(peers=20),
    "cnn on digits, 100 networks": SMALL.replace(peers=100),
    "resnet20 on digits, 2 networks": SMALL.replace(peers=2, models=("resnet20",)),
    "resnet20 on digits, 8 networks": SMALL.replace(peers=8, models=("resnet20",)),
}
OUT = Path(__file__).parent / "results" / "executors.json"


def seconds(fleet: Fleet, step: int) -> float:
    """One optimizer step."""
    started = time.perf_counter()
    take(fleet, 0, step % fleet.steps)
    if fleet.device.type == "cuda":
        torch.cuda.synchronize(fleet.device)
    return time.perf_counter() - started


def measure(run: Run, rounds: int) -> dict[str, float]:
    """Median and quartiles of loop / stack, and the median step of each."""
    fleets = {execute: build_fleet([run], execute=execute) for execute in ("loop", "stack")}
    times: dict[str, list[float]] = {execute: [] for execute in fleets}
    for turn in range(rounds + 2):
        for execute, fleet in fleets.items():
            taken = seconds(fleet, turn)
            if turn >= 2:
                times[execute].append(taken)
    ratios = [a / b for a, b in zip(times["loop"], times["stack"], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "loop_over_stack": middle,
        "quartiles": [low, high],
        "loop_ms": 1e3 * statistics.median(times["loop"]),
        "stack_ms": 1e3 * statistics.median(times["stack"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    rows = []
    for name, run in CASES.items():
        found = measure(run.replace(device=given.device), given.rounds)
        rows.append({"case": name, **found})
        low, high = found["quartiles"]
        print(f"{name}: {found['loop_over_stack']:.2f} ({low:.2f} to {high:.2f})", flush=True)
    facts = {
        "command": f"python benchmarks/executors.py --rounds {given.rounds} --device {given.device}",
        "processor": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine(),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "rows": rows,
    }
    OUT.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
