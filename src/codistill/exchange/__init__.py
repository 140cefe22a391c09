"""Peers in other processes: what each of them computes is brought to all; nothing else knows that they are apart."""

from codistill.exchange.blocks import Blocks
from codistill.exchange.job import joined, restarts
from codistill.exchange.largest import Largest, of_owners
from codistill.exchange.mesh import Lost, Mesh

__all__ = ["Blocks", "Largest", "Lost", "Mesh", "joined", "of_owners", "restarts"]
