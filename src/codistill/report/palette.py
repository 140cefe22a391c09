"""One look for one method in all plots, told apart by the colour-blind too."""

from collections.abc import Sequence
from dataclasses import dataclass

# Okabe and Ito 2008, without black and yellow: black vanishes on a dark page, yellow on a white one
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_BASELINE = "#808080"
_SYMBOLS = ("circle", "square", "triangle-up", "cross", "star", "hexagon")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


@dataclass(frozen=True)
class Look:
    """Colour, marker and dash of a method."""

    colour: str
    symbol: str
    dash: str

    def faint(self, opacity: float) -> str:
        """The colour as ``rgba(...)``."""
        red, green, blue = (int(self.colour[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({red},{green},{blue},{opacity})"


def looks(methods: Sequence[str], baseline: str | None = None) -> dict[str, Look]:
    """A look for each method: grey for the baseline, six colours, then the same with other markers."""
    others = [method for method in dict.fromkeys(methods) if method != baseline]
    found = {} if baseline is None else {baseline: Look(_BASELINE, "circle", "solid")}
    for i, method in enumerate(others):
        turn = i // len(_COLOURS) % len(_SYMBOLS)
        found[method] = Look(_COLOURS[i % len(_COLOURS)], _SYMBOLS[turn], _DASHES[turn])
    return found
