"""How a figure is drawn, by Matplotlib: an SVG to keep and one that takes a page's colours; and its CSV."""

import csv
import io
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from codistill.report.numbers import wrapped

WIDTH = 480.0  # of a figure, in px: it is still read where a phone shrinks it to 328
PAPER, INK, SOFT, GRID = "#ffffff", "#1d2329", "#59636e", "#e4e8ec"
# what the page puts in their place, so that a figure is dark on a dark page
_ON_PAGE = {f"fill: {PAPER}": "fill: none", INK: "var(--ink)", SOFT: "var(--soft)", GRID: "var(--grid)"}
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif"
PNG_DPI = 200
_DPI = 72  # one point of an SVG is one px
_LETTERS = 52  # of a line of the legend
_LINE = 19.0  # height of one
_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # it comes with Matplotlib and is wide, so the reader's own font fits
    "font.size": 12.0,
    "axes.labelsize": 12.0,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": SOFT,
    "axes.titlecolor": INK,
    "axes.titlesize": 12.0,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "text.parse_math": False,  # a label may hold a dollar sign
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "codistill",
}

Value = str | float | None
LegendEntry = tuple[str, Any]  # what is said, and the artist whose look that is


@dataclass(frozen=True)
class Plot:
    """A figure: how to draw it, and what it shows in numbers.

    Attributes:
        height: in px.
        paint: draws into an empty canvas of Matplotlib's.
        columns: what the numbers are.
        rows: the numbers; None where one is missing.
        says: what is to be seen, for who cannot see it.
        width: in px.
    """

    height: float
    paint: Callable[[Canvas], None]
    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    says: str
    width: float = WIDTH

    def canvas(self) -> Canvas:
        """The drawn figure."""
        with _styled():
            canvas = Canvas(figsize=(self.width / _DPI, self.height / _DPI), dpi=_DPI, layout="constrained")
            self.paint(canvas)
        return canvas

    @property
    def svg(self) -> str:
        """The figure as a file: dark on white."""
        file = io.StringIO()
        with _styled():
            self.canvas().savefig(file, format="svg", dpi=_DPI, metadata={"Date": None, "Creator": None})
        found = re.search(r"<svg.*</svg>", file.getvalue(), re.DOTALL)
        assert found is not None
        lean = re.sub(r"\s*(<metadata>.*?</metadata>|<!--.*?-->)", "", found[0], flags=re.DOTALL)
        return re.sub(r"'DejaVu Sans'(, sans-serif)?", _FONTS, lean)

    @property
    def png(self) -> bytes:
        """The figure in pixels, dark on white, at `PNG_DPI`; letters that Matplotlib's font lacks are boxes."""
        file = io.BytesIO()
        with _styled():
            self.canvas().savefig(file, format="png", dpi=PNG_DPI, metadata={"Software": None})
        return file.getvalue()

    @property
    def csv(self) -> str:
        """The numbers as a file."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([["" if value is None else value for value in row] for row in self.rows])
        return file.getvalue()


def on_page(svg: str, key: str, title: str, says: str) -> str:
    """An SVG as a part of a page: its colours are the page's, and its ids no other figure's.

    Args:
        svg: of `Plot.svg`.
        key: of the figure on the page.
        title: of the figure.
        says: what is to be seen.
    """
    for drawn, shown in _ON_PAGE.items():
        svg = svg.replace(drawn, shown)
    used = set(re.findall(r"#([\w.-]+)[\")]", svg))
    svg = re.sub(r'\s+id="([\w.-]+)"', lambda m: f' id="{key}-{m[1]}"' if m[1] in used else "", svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{key}-", svg)
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    said = escape(f"{title}. {says}")
    return re.sub(r"<svg[^>]*?(viewBox=\"[^\"]*\")[^>]*>", rf'<svg \g<1> role="img" aria-label="{said}">', svg, count=1)


def legend(canvas: Canvas, entries: Sequence[LegendEntry]) -> None:
    """What the looks mean, above the panels, where it cannot cover data; nothing for a single one."""
    if len(entries) < 2:
        return
    texts = ["\n".join(wrapped(text, _LETTERS)) for text, _ in entries]
    artists = [artist for _, artist in entries]
    canvas.legend(artists, texts, loc="outside upper left", ncols=_columns([text for text, _ in entries]), fontsize=11)


def legend_height(labels: Sequence[str]) -> float:
    """The room that `legend` takes."""
    if len(labels) < 2:
        return 0.0
    lines = [len(wrapped(label, _LETTERS)) for label in labels]
    return _LINE * (math.ceil(sum(lines) / _columns(labels))) + 12


def logarithmic(axes: Axes, which: str) -> None:
    """An axis of powers, with so few labels that none covers another."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    low, high = axis.get_view_interval()
    few = math.log10(high / low) <= 2
    axis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0) if few else (1.0,), numticks=5))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def whole(axes: Axes) -> None:
    """Ticks of the x axis at whole numbers only."""
    low, high = axes.get_xlim()
    if high - low < 1:
        axes.set_xlim((low + high) / 2 - 1, (low + high) / 2 + 1)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))


@contextmanager
def _styled() -> Iterator[None]:
    with mpl.rc_context(_STYLE), warnings.catch_warnings():  # type: ignore[arg-type]
        # Matplotlib's font only measures the letters; the reader's font has them
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        yield


def _columns(labels: Sequence[str]) -> int:
    return 2 if max(map(len, labels)) <= 24 else 1
