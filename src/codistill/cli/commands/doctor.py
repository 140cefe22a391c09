"""``doctor``: what is installed, what there is to compute on, which data are there, and whether training works."""

import os
import platform
import sys
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

LIBRARIES = (
    "torch",
    "numpy",
    "scikit-learn",
    "safetensors",
    "plotly",
    "tokenizers",
    "datasets",
    "transformers",
    "timm",
)


@dataclass
class Doctor:
    """Say what is installed, what there is to compute on and which data are found, and train for a few seconds."""

    test: bool = True
    """Train two small networks on digits, evaluate them, and resume them from a checkpoint."""

    def __call__(self, console: "Console", command: str) -> None:
        for title, lines in {
            "Versions": versions_found(),
            "Devices": devices(),
            "Data": data_found(),
        }.items():
            console.print(title, style="bold")
            for line in lines:
                console.print(f"  {line}", markup=False, soft_wrap=True)
        if self.test:
            console.print("Self-test", style="bold")
            started = time.perf_counter()
            said = self_test()
            console.print(f"  {said} ({time.perf_counter() - started:.0f} s)", markup=False)


def versions_found() -> "Iterator[str]":
    """Of this program, Python, and the libraries that it knows."""
    yield f"codistill {version('codistill')}, Python {platform.python_version()} ({sys.platform}, {platform.machine()})"
    for name in LIBRARIES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"{name}: not installed"


def devices() -> "Iterator[str]":
    """What torch finds, and what ``auto`` means."""
    import torch

    from codistill.run import Run
    from codistill.training.build import device_of

    threads = os.environ.get("OMP_NUM_THREADS")
    chosen = f", OMP_NUM_THREADS={threads}" if threads else ""
    yield f"CPU: {os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads{chosen}"
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        yield f"cuda:{number}: {torch.cuda.get_device_name(number)}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free"
    yield f"--device auto is {device_of(Run())}"


def data_found() -> "Iterator[str]":
    """The root of data sets, and which of them can be opened there; nothing is downloaded."""
    from codistill.data import ROOT

    root = Path(os.environ.get(ROOT) or Path.home() / ".cache" / "codistill")
    source = ROOT if os.environ.get(ROOT) else f"{ROOT} is not set"
    there = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
    yield f"{root} ({source}): {', '.join(there) or 'nothing there'}"
    yield "digits: comes with scikit-learn"


def self_test() -> str:
    """Train, evaluate and resume two small networks in a temporary folder.

    Raises:
        RuntimeError: the resumed run ended elsewhere, or nothing was learned.
    """
    from codistill.run import Run
    from codistill.training.loop import resume, train

    run = Run(labels=200, batch=20, models=("mlp:hidden=32",), epochs=4, execute="loop", device="auto")
    with TemporaryDirectory() as folder:
        *_, whole = train(run)
        for record in (records := train(run, folder)):
            if record.kind == "step" and record.step == record.steps // 2:
                records.close()
                break
        *_, again = resume(folder)
    accuracy = whole.lines[0]["accuracy"]
    if accuracy < 0.5:
        raise RuntimeError(f"the self-test learned nothing: accuracy {accuracy:.1%} on digits")
    if whole.lines != again.lines:
        raise RuntimeError("the self-test's resumed run ended elsewhere than the unbroken one")
    return f"two networks learned the digits ({accuracy:.0%}); a resumed run ended where the unbroken one did"


__all__ = ["Doctor", "data_found", "devices", "self_test", "versions_found"]
