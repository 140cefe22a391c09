"""The imitation loss, forward and backward: along the graph against one for every pair, and how it grows with peers."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from measure import Row, interleaved, row
from torch import Tensor
from torch.nn import functional as F

from codistill.graph import along, complete
from codistill.losses.divergences.kl import kl

GRAPH = complete()
CASES = ((64, 1000, 32, (2, 8, 32, 64)), (4, 50_000, 8, (8, 16, 32)))  # batch, classes, most pairs, peers


def rows(quick: bool, rounds: int) -> Iterator[Row]:
    """Against pairs where these are few enough to wait for, then each number of peers against the one before."""
    for batch, classes, most, peers in ((2, 5, 4, (2, 4)),) if quick else CASES:
        logits = {count: torch.randn(count, batch, classes, requires_grad=True) for count in peers}
        of = f"{classes:,} classes, batch {batch}"
        for count in peers:
            if count <= most:
                torch.testing.assert_close(ours(logits[count]), pairs(logits[count]), rtol=1e-4, atol=1e-6)
                sides = {"ours": gone_back(ours, logits[count]), "theirs": gone_back(pairs, logits[count])}
                seconds = interleaved(sides, max(2, rounds // 5))
                yield row("mimic", f"{count} peers, {of}", seconds["ours"], seconds["theirs"], other="every pair")
        seconds = interleaved({str(c): gone_back(ours, z) for c, z in logits.items()}, max(2, rounds // 5))
        for less, more in pairwise(peers):
            each = [[s / count for s in seconds[str(count)]] for count in (more, less)]
            yield row("mimic", f"per peer: {more} peers, {of}", *each, other=f"{less} peers")


def ours(z: Tensor) -> Tensor:
    """The library's, of all peers."""
    return along(GRAPH, kl, students=z, sources=z.detach())


def pairs(z: Tensor) -> Tensor:
    """A KL term for every pair."""
    peers = range(len(z))
    terms = [
        sum(
            F.kl_div(F.log_softmax(z[i], 1), F.softmax(z[j].detach(), 1), reduction="batchmean")
            for j in peers
            if j != i
        )
        for i in peers
    ]
    return torch.stack(terms) / (len(z) - 1)


def gone_back(term: Callable[[Tensor], Tensor], z: Tensor) -> Callable[[], None]:
    """Forward and backward of a term."""

    def both() -> None:
        z.grad = None
        term(z).sum().backward()

    return both
