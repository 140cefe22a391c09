"""How many network passes were made."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

_counting: ContextVar[bool] = ContextVar("counting", default=True)


@dataclass
class Passes:
    """Network passes so far, one per network and batch; every forward that carries a gradient is gone back once."""

    forward: int = 0
    backward: int = 0

    def count(self, networks: int, *, gradient: bool) -> None:
        """One pass of so many networks."""
        if _counting.get():
            self.forward += networks
            self.backward += networks if gradient else 0


@contextmanager
def uncounted() -> Iterator[None]:
    """Passes inside belong to no training step (preparing, checking, evaluating): no cohort counts them."""
    before = _counting.set(False)
    try:
        yield
    finally:
        _counting.reset(before)
