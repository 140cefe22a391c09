"""Early stopping: the weights of every peer at its best validation accuracy."""

from collections.abc import Sequence

import torch

from codistill.checkpoint import Tensors, peers_of, restore_peers, under
from codistill.cohort import Cohort

PEERS = "peers."  # in its state, what the weights begin with


class Best:
    """Copies of the peers, each of the epoch with its best validation accuracy so far; of equal ones, the first.

    Before the first validation they are the initial weights.
    """

    def __init__(self, cohort: Cohort) -> None:
        self.networks = cohort.frozen(moving=True)
        self.accuracy = torch.full((len(cohort),), -1.0, dtype=torch.float64)

    def update(self, current: Cohort, accuracy: Sequence[float]) -> None:
        """Take over the weights of those peers that are better than before."""
        for peer, (new, old) in enumerate(zip(accuracy, self.accuracy.tolist(), strict=True)):
            if new > old:
                if peer in self.networks.held:
                    self.networks.load_peer_state(peer, current.peer_state(peer))
                self.accuracy[peer] = new

    def state(self) -> Tensors:
        """For a checkpoint."""
        return {"accuracy": self.accuracy, **{f"{PEERS}{name}": t for name, t in peers_of(self.networks).items()}}

    def restore(self, tensors: Tensors) -> None:
        """The inverse of `state`."""
        self.accuracy = tensors["accuracy"].clone()
        restore_peers(self.networks, under(PEERS, tensors))
