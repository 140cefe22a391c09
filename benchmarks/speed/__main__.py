"""How fast is a step, a study, a term? One script per claim; ratios within one run, since machines are noisy.

    python benchmarks/speed                   # all claims, and benchmarks/results/speed.json
    python benchmarks/speed step mimic        # some of them
    python benchmarks/speed --quick           # the smallest cases, to see that everything runs

A line of JSON and a row of a table for every comparison: medians over rounds in which all sides take their turn, on one
thread, in seconds of the process (a shared machine's other work does not count, but makes caches and memory slower).
"""

import argparse
import dataclasses
import importlib
import json
import platform
from pathlib import Path

import torch
from measure import HEAD

CLAIMS = ("step", "independent", "study", "mimic", "memory", "inputs", "startup")
OUT = Path(__file__).parents[1] / "results" / "speed.json"


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("claims", nargs="*", choices=[[], *CLAIMS], help="all of them where none is given")
    parser.add_argument("--quick", action="store_true", help="the smallest cases; nothing is written")
    parser.add_argument("--rounds", type=int, default=50)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rounds, lines = 2 if asked.quick else asked.rounds, []
    print(HEAD, flush=True)
    for claim in asked.claims or CLAIMS:
        for found in importlib.import_module(claim).rows(asked.quick, rounds):
            lines.append(json.dumps(dataclasses.asdict(found)))
            print(found, lines[-1], sep="\n", flush=True)
            if not asked.quick:
                keep(lines)


def keep(lines: list[str]) -> None:
    """Write rows beside those of other cases, and in the place of those of the same."""
    rows = json.loads(OUT.read_text(encoding="utf-8"))["rows"] if OUT.exists() else []
    by_case = {(r["claim"], r["case"], r["other"]): r for r in (*rows, *map(json.loads, lines))}
    facts = {
        "command": "python benchmarks/speed",
        "machine": f"{platform.machine()}, one thread of a shared machine",
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
        "rows": list(by_case.values()),
    }
    OUT.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
