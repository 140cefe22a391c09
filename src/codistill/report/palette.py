"""One style for one method in all figures, distinguishable for the colour-blind too."""

from collections.abc import Iterable
from dataclasses import dataclass

Dash = str | tuple[int, tuple[int, ...]]  # a name of Matplotlib's, or where it starts and its lengths

# Okabe and Ito 2008, without black and yellow: black vanishes on a dark page, yellow on a white one
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_BASELINE = "#808080"
_MARKERS = ("o", "s", "^", "P", "*", "h")
_DASHES: tuple[Dash, ...] = ("-", "--", ":", "-.", (0, (8, 3)), (0, (8, 3, 2, 3)))


@dataclass(frozen=True)
class Style:
    """Colour, marker and dash of a method, as Matplotlib takes them."""

    colour: str
    marker: str
    dash: Dash


def styles(methods: Iterable[str], baseline: str | None = None) -> dict[str, Style]:
    """A style for each method: grey for the baseline, six colours, then the same with other markers."""
    styles = {} if baseline is None else {baseline: Style(_BASELINE, "o", "-")}
    for i, method in enumerate(method for method in dict.fromkeys(methods) if method != baseline):
        turn = i // len(_COLOURS) % len(_MARKERS)
        styles[method] = Style(_COLOURS[i % len(_COLOURS)], _MARKERS[turn], _DASHES[turn])
    return styles
