"""The most memory that the imitation loss's forward and backward pass takes, beside that of its logits, per peer."""

import subprocess
import sys
from collections.abc import Iterator

from measure import Row, row

SCRIPT = """
import resource, sys, torch
sys.path.insert(0, {here!r})
from mimic import {term}
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
z = torch.randn({peers}, {batch}, {classes}, requires_grad=True)
{term}(torch.randn(2, 2, 5, requires_grad=True)).sum().backward()
before = peak()
{term}(z).sum().backward()
print(peak() - before)
"""


def rows(quick: bool, rounds: int) -> Iterator[Row]:
    """Against a term for every pair, each in a process of its own."""
    for peers, batch, classes in ((2, 2, 5),) if quick else ((8, 64, 1000), (32, 64, 1000), (64, 64, 1000)):
        ours, theirs = (measured(term, peers, batch, classes) / peers for term in ("ours", "pairs"))
        case = f"per peer: {peers} peers, {classes:,} classes, batch {batch}"
        yield row("memory", case, [max(ours, 1e-3)], [max(theirs, 1e-3)], other="every pair", unit="MiB")


def measured(term: str, peers: int, batch: int, classes: int) -> float:
    """MiB above what the process held before."""
    text = SCRIPT.format(here=sys.path[0], term=term, peers=peers, batch=batch, classes=classes)
    done = subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True)
    return float(done.stdout)
