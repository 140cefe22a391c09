"""``codistill suspects``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tyro.conf import Positional

from codistill.cli.chapters import check_single
from codistill.cli.commands.options import RunFolder

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Suspects:
    """List the training examples whose labels all peers of a run dispute: labels that may be wrong.

    Prints the first ones, and writes suspects.csv and suspects.html (with the images or texts) into the run's folder.
    """

    run: Positional[RunFolder]
    shown: int = 60
    """Images on the page."""

    def __call__(self, console: "Console", command: str) -> None:
        from codistill import study as studies
        from codistill.analysis.suspects import suspects
        from codistill.report.suspects_page import said, suspects_table, write_suspects

        check_single(self.run)
        if (self.run / "study.json").exists():
            raise ValueError(f"{self.run} is a comparison: give a run, such as {self.run / 'parts' / '000'}")
        every = suspects(self.run, self.shown, studies.teachers_of(self.run))
        for each in every:
            console.print(said(each), soft_wrap=True, markup=False)
            console.print(suspects_table(each))
        for path in write_suspects(every, self.run, command):
            console.print(f"Written: {path}", soft_wrap=True)
