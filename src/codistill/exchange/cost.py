"""What crosses between the processes of a mesh in a step, in bytes and seconds: a model, checked against what does."""

from dataclasses import dataclass

from codistill.exchange.mesh import HEADER, Mesh


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of a step in which every peer predicts for one batch that all have in common, and all learn from it.

    Attributes:
        peer: the mesh's axis of peers.
        data: its axis of samples.
        peers: of the cohort.
        batch: samples of a step.
        classes: numbers that a peer predicts at each position of a sample.
        positions: of a sample: those of its tokens.
        parameters: of a network.
        features: numbers of a sample that the method compares besides.
        size: bytes of a number.
        largest: of how many classes a target tells the probability (``target=top:k``); 0: of all.
    """

    peer: int
    data: int
    peers: int
    batch: int
    classes: int
    parameters: int
    positions: int = 1
    features: int = 0
    size: int = 4
    largest: int = 0

    @property
    def gathered(self) -> int:
        """Bytes that a process receives of the others' outputs, where each network is run by itself.

        What all others send, each as much as the one with the most.
        """
        mesh = Mesh(self.peer, self.data)
        most_peers = max(len(mesh.peers_at(place, self.peers)) for place in range(self.peer))
        shards = [mesh.samples_at(shard, self.batch) for shard in range(self.data)]
        samples = max(shard.stop - shard.start for shard in shards)
        tensors = [
            -(-samples * numbers * self.size // 8) * 8 for numbers in (self.classes * self.positions, self.features)
        ]
        sent: int = HEADER + most_peers * sum(tensors)
        return (mesh.size - 1) * sent

    @property
    def targets(self) -> int:
        """Bytes of what a process must know of the others' peers to teach its own on its shard, and no more.

        Their posteriors on these samples, or the ``largest``, where they are, and the sum of the others. What is sent
        is `gathered`: the outputs whole, on all shards, so that every process knows every term.
        """
        mesh = Mesh(self.peer, self.data)
        fewest = min(len(mesh.peers_at(place, self.peers)) for place in range(self.peer))
        told = min(2 * self.largest + 1, self.classes) if self.largest else self.classes
        return (self.peers - fewest) * -(-self.batch // self.data) * self.positions * told * self.size

    @property
    def added(self) -> int:
        """Bytes of the gradients that a process adds up with those that have the same peers; none at data=1."""
        mesh = Mesh(self.peer, self.data)
        most_peers = max(len(mesh.peers_at(place, self.peers)) for place in range(self.peer))
        return most_peers * self.parameters * self.size if self.data > 1 else 0

    def seconds(self, *, network: float, bandwidth: float, latency: float) -> float:
        """Of a step: the passes of a place's peers on a shard, the exchange of outputs, and the ring of gradients.

        Args:
            network: seconds of one network's forward and backward pass of the whole batch.
            bandwidth: bytes a second into a process.
            latency: seconds of one message to a neighbour.
        """
        processes, most_peers = self.peer * self.data, -(-self.peers // self.peer)
        ring = 2 * (self.data - 1) / self.data * self.added / bandwidth + 2 * (self.data - 1) * latency
        gather = self.gathered / bandwidth + (processes - 1) * latency
        return most_peers * network / self.data + gather + ring


__all__ = ["Cost"]
