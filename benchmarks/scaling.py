"""What a step costs on meshes of 1 to 4 processes of this machine, beside the model of `codistill.exchange.cost`.

python benchmarks/scaling.py [STEPS]
python benchmarks/scaling.py plan        # what the model plans for 64 GPUs, or 4; nothing is measured

Steps of all meshes are timed in turns of their own jobs; the median of a job counts, so on a busy machine only ratios
say something, and processes that share a core cannot be faster than one. Bytes are exact.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace

import torch

from codistill.exchange import joined
from codistill.exchange.cost import Cost
from codistill.run import Run
from codistill.training.build import build_fleet
from codistill.training.state import Training

RUN = Run(models=("cnn:width=16",), peers=4, labels=500, batch=64, epochs=1000, execute="loop")
MESHES = ("peer=1,data=1", "peer=2,data=1", "peer=1,data=2", "peer=2,data=2", "peer=4,data=1")
BANDWIDTH, LATENCY, LARGEST = 10e9, 20e-6, 20  # bytes a second into a GPU, seconds of a message, k of top:k
IMAGES = Cost(peer=4, data=16, peers=4, batch=4096, classes=1000, parameters=25_600_000)
TEXTS = Cost(peer=4, data=16, peers=4, batch=64, classes=250_000, positions=512, parameters=300_000_000)
PLANS = (  # of 64 GPUs or 4, with numbers of 4 bytes
    ("4 of 25.6 million parameters, 1,000 classes, batch 4,096", IMAGES),
    ("the same", replace(IMAGES, peer=1, data=64)),
    ("64 of them, batch 256", replace(IMAGES, peer=64, data=1, peers=64, batch=256)),
    ("4 language models of 300 million, 64 texts of 512 tokens, 250,000 tokens to predict", TEXTS),
    ("the same, on 4 GPUs", replace(TEXTS, data=1)),
    (f"the same, target=top:{LARGEST}", replace(TEXTS, data=1, largest=LARGEST)),
)


def plan() -> None:
    """Print what would cross in a step, and in how many seconds."""
    print(
        f"| networks | mesh | outputs received | targets alone | of these top:{LARGEST} | gradients added | seconds |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for networks, cost in PLANS:
        crossing = (cost.gathered, cost.targets, replace(cost, largest=LARGEST).targets, cost.added)
        shown = " | ".join(f"{number / 1e6:,.1f} MB" for number in crossing)
        seconds = cost.seconds(network=0.0, bandwidth=BANDWIDTH, latency=LATENCY)
        print(f"| {networks} | {cost.peer} x {cost.data} | {shown} | {seconds:.3f} |")


def measure(mesh: str, steps: int) -> None:
    """In one process of a job: the first prints what it found."""
    torch.set_num_threads(1)
    with joined(mesh) as place:
        training = Training(build_fleet([RUN], mesh=place), None)
        for _ in range(3):
            training.advance()
        before, seconds = (place.gathered, place.added), []
        for _ in range(steps):
            started = time.perf_counter()
            training.advance()
            seconds.append(time.perf_counter() - started)
        if place.is_first:
            bytes_of = [(now - then) / steps for now, then in zip((place.gathered, place.added), before, strict=True)]
            parameters = training.fleet.cohort.parameter_count // RUN.peers
            found = {"seconds": statistics.median(seconds), "gathered": bytes_of[0], "added": bytes_of[1]}
            print(json.dumps({"mesh": mesh, "parameters": parameters, **found}), flush=True)


def main() -> None:
    """Every mesh in a job of its own; a table of all."""
    steps, rows = int(sys.argv[1]) if len(sys.argv) > 1 else 30, []
    for mesh in MESHES:
        peer, data = (int(item.partition("=")[2]) for item in mesh.split(","))
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(peer * data)]
        command += ["--log-dir", os.devnull, __file__, mesh, str(steps)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(done.stdout.strip().splitlines()[-1])
        cost = Cost(peer=peer, data=data, peers=RUN.peers, batch=RUN.batch, classes=10, parameters=found["parameters"])
        rows.append((peer, data, found, cost))
    print("| peer x data | outputs received, bytes a step | gradients added | model | step, ms | of 1 x 1 |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for peer, data, found, cost in rows:
        seconds, first = found["seconds"], rows[0][2]["seconds"]
        crossed = f"{found['gathered']:,.0f} | {found['added']:,.0f} | {cost.gathered:,} / {cost.added:,}"
        print(f"| {peer} x {data} | {crossed} | {1000 * seconds:.1f} | {seconds / first:.2f} |")


if __name__ == "__main__":
    if sys.argv[1:] == ["plan"]:
        plan()
    elif "RANK" in os.environ:
        measure(sys.argv[1], int(sys.argv[2]))
    else:
        main()
