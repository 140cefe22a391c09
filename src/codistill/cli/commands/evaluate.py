"""``codistill evaluate``."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from codistill.cli.chapters import check_single
from codistill.cli.commands.options import RunFolder, trusting
from codistill.cli.finish import say_if_unfinished
from codistill.run import Run

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Evaluate:
    """Evaluate the networks of a run's newest checkpoint."""

    run: Positional[RunFolder]
    part: Literal["test", "valid", "train"] | None = None
    """Part of the data; keep the test set for the end. none: valid where some was held out, else test."""
    against: Path | None = None
    """Folder of another run: print how many predictions change from RUN to this one."""
    trust: bool = False
    """Import the modules that the folders name (module:Name), which runs what is in them."""

    def __call__(self, console: "Console", command: str) -> None:
        with trusting(self.trust):
            self.evaluate(console)

    def evaluate(self, console: "Console") -> None:
        """Print what the networks of the folders are worth."""
        from codistill import study as studies
        from codistill.training.loop import restored

        for folder in filter(None, (self.run, self.against)):
            check_single(folder)
        if self.against is None:
            self._measure(console)
            return
        from codistill.report.results import changes_table
        from codistill.training.evaluate import changes

        both = self.run, self.against
        for folder in both:
            if (folder / "study.json").exists():
                raise ValueError(f"{folder} is a comparison: give two runs, such as {folder / 'parts' / '000'}")
        before, after = (restored(folder, teachers=studies.teachers_of(folder)) for folder in both)
        console.print(changes_table(changes(before, after, self._part(before.run, console)), *map(str, both)))

    def _measure(self, console: "Console") -> None:
        """Measure the run, or every part of the comparison that is trained."""
        from codistill import study as studies
        from codistill.report.results import results_table
        from codistill.training.loop import restored
        from codistill.training.results import results

        whole = (self.run / "study.json").exists()
        folders = [part.folder for part in studies.parts(studies.load(self.run), self.run)] if whole else [self.run]
        trained = [folder for folder in folders if not whole or (folder / "results.jsonl").exists()]
        part = None
        for folder in trained:
            fleet = restored(folder, teachers=studies.teachers_of(folder))
            part = part or self._part(fleet.run, console)
            console.print(results_table(results(fleet, part), console.width))
            if not whole:
                say_if_unfinished(folder, console)
        if len(trained) < len(folders):
            console.print(
                f"Not finished: {len(trained)} of {len(folders)} parts. Resume with:\n  codistill resume {self.run}"
            )

    def _part(self, run: Run, console: "Console") -> str:
        """The part that was asked for, or what there is, which is then said."""
        if self.part:
            return self.part
        part = "valid" if run.valid else "test"
        why = "held out in training; --part test for the test set" if run.valid else "no validation part was held out"
        console.print(f"Measured on the {part} part: {why}.")
        return part
