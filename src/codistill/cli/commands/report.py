"""``codistill report``."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from codistill.cli.chapters import write_page_of
from codistill.cli.finish import write_report_of

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Report:
    """Rewrite the report of a run, a comparison or several from their raw results; of several folders, one page."""

    run: Positional[Annotated[tuple[Path, ...], arg(metavar="RUN...", help="Folders of runs or of comparisons.")]]
    out: Path | None = None
    """Folder for the page of several RUNs."""
    figures: bool = False
    """Write every figure as SVG, PNG (200 dpi) and the CSV of its numbers too, into the folder figures beside it."""

    def __call__(self, console: "Console", command: str) -> None:
        from codistill.cli.several import report_several
        from codistill.discovery import trusting
        from codistill.study.chapters import is_chapters

        with trusting(()):
            if len(self.run) != 1:
                report_several(self.run, self.out, console, command, self.figures)
            elif is_chapters(self.run[0]):
                write_page_of(self.run[0], console, self.figures)
            else:
                write_report_of(self.run[0], console, figures=self.figures)
