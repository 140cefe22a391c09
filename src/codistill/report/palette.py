"""One style for one method in all figures, distinguishable for the colour-blind too."""

from collections.abc import Iterable
from dataclasses import dataclass

# Okabe and Ito 2008, without black and yellow: black vanishes on a dark page, yellow on a white one
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_BASELINE = "#808080"
_SYMBOLS = ("circle", "square", "triangle-up", "cross", "star", "hexagon")
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


@dataclass(frozen=True)
class Style:
    """Colour, marker and dash of a method."""

    colour: str
    symbol: str
    dash: str

    def faint(self, opacity: float) -> str:
        """The colour as ``rgba(...)``."""
        red, green, blue = (int(self.colour[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({red},{green},{blue},{opacity})"


def styles(methods: Iterable[str], baseline: str | None = None) -> dict[str, Style]:
    """A style for each method: grey for the baseline, six colours, then the same with other markers."""
    styles = {} if baseline is None else {baseline: Style(_BASELINE, "circle", "solid")}
    for i, method in enumerate(method for method in dict.fromkeys(methods) if method != baseline):
        turn = i // len(_COLOURS) % len(_SYMBOLS)
        styles[method] = Style(_COLOURS[i % len(_COLOURS)], _SYMBOLS[turn], _DASHES[turn])
    return styles
