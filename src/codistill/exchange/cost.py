"""What crosses between the processes of a mesh in a step, in bytes and seconds: a model, checked against what does."""

from dataclasses import dataclass

from codistill.exchange.mesh import HEADER, Mesh

CLASS = 4  # bytes of the number of a class
TERMS = 2  # of a peer: what it learns from labels, and from others


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

        What all others send, each as much as the one with the most. With the ``largest`` alone, in the steps on which
        no divergences between peers are measured, of a method with two terms.
        """
        mesh = Mesh(self.peer, self.data)
        most_peers = max(len(mesh.peers_at(place, self.peers)) for place in range(self.peer))
        shards = [mesh.samples_at(shard, self.batch) for shard in range(self.data)]
        samples = max(shard.stop - shard.start for shard in shards)
        told, size = [(self.classes, self.size)], self.size
        if self.compressed:
            told = [(self.largest, size), (self.largest, CLASS), (1, size)]
        tensors = [
            -(-samples * number * size // 8) * 8
            for number, size in (*((n * self.positions, of) for n, of in told), (self.features, size))
        ]
        sent: int = HEADER + most_peers * sum(tensors)
        terms = HEADER + TERMS * self.peers * self.size if self.compressed else 0
        return (mesh.size - 1) * (sent + terms)

    @property
    def compressed(self) -> bool:
        """Whether a process sends of each posterior the largest alone, and then the terms of its own peers."""
        return self.data == 1 and self.largest > 0 and 2 * self.largest + 1 < self.classes

    @property
    def targets(self) -> int:
        """Bytes of what a process must know of the others' peers to teach its own on its shard, and no more.

        Their posteriors on these samples, or the ``largest``, where they are, and the sum of the others. What is sent
        is `gathered`: at ``data`` above 1 the outputs whole, on all shards, so that every process knows every term.
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
