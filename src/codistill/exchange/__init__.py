"""Peers in other processes: what each of them computes is brought to all; nothing else knows that they are apart."""

from codistill.exchange.blocks import Blocks
from codistill.exchange.job import joined, restarts
from codistill.exchange.mesh import Lost, Mesh

__all__ = ["Blocks", "Lost", "Mesh", "joined", "restarts"]
