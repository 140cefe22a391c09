"""Images side by side, for a page."""

from collections.abc import Sequence

from codistill.report.prose import environment


def sheet(shown: Sequence[tuple[str, str, str]], says: str) -> str:
    """Images side by side as an SVG, each with two lines below it; empty where there are none.

    Args:
        shown: of each image its data address, its label, and what is chosen instead.
        says: what it shows, in words.
    """
    return environment().get_template("sheet.svg").render(shown=shown, says=says) if shown else ""


__all__ = ["sheet"]
