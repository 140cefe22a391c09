"""``codistill compare``."""

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from codistill.cli.chapters import folder_name
from codistill.cli.commands.options import Track
from codistill.cli.finish import dry_run, end, follow, form_of
from codistill.cli.settings import Settings, modules_of_study, recipe_of, start_of, study_of
from codistill.cli.spread import compared
from codistill.run import Run

if TYPE_CHECKING:
    from rich.console import Console

    from codistill.study import Study


@dataclass
class Compare:
    """Compare methods with networks trained alone, over seeds, and write a report.

    Exit code 3 where nothing was learnt (docs/running.md).
    """

    recipe: tuple[str, ...] = ()
    """Experiments (specs; codistill list recipes; or FILE.py); several run one after the other and get one page. Empty:
    digits; with --data, alone and dml with 5 seeds and the settings of train. With --help: show its settings as
    defaults."""
    methods: tuple[str, ...] = ()
    """Methods (specs that may also set a run's settings: dml:peers=4 kd:teacher=runs/big). Empty: the recipe's."""
    seeds: tuple[int, ...] = ()
    """The number of seeds N, for the seeds 0 to N-1; or the seeds themselves, two or more. Empty: the recipe's."""
    retrainings: int | None = None
    """Trainings on each seed's labels; 2 measure churn too, at twice the cost. none: the recipe's."""
    pilot: Path | None = None
    """Folder of an earlier comparison, whose spread over seeds says which gains this one can see."""
    name: str | None = None
    """Folder in --runs. none: the recipe's name."""
    runs: Path = Path("runs")
    """Folder that holds the folders of runs."""
    if_exists: Literal["error", "resume"] = "error"
    """If the folder exists already: stop with an error, or resume what is in it."""
    quick: bool = False
    """Check in a minute that everything works: few examples, small networks, one epoch. Its figures mean nothing."""
    dry_run: bool = False
    """Say what it would need (time, memory, disk) from a few timed steps, and leave nothing behind."""
    on: str | None = None
    """Train the parts as tasks of Ray: ray, or ray:cpus=2,gpus=0.5,retries=3 for each. none: one after the other,
    in this process."""
    quiet: bool = False
    """Print nothing but warnings and errors."""
    json: bool = False
    """Print one JSON record per line: start, epochs, checkpoints, end, and the paths of what was written."""
    track: Track = ()
    """Write the records for these tools too (docs/tracking.md), into the folder."""
    settings: Settings = field(default_factory=Run)
    """Settings of the run. What is not given is the recipe's."""

    def __call__(self, console: "Console", command: str) -> None:
        from codistill.discovery import trusting

        study = self.study(*self.recipe)
        with trusting(modules_of_study(study)):
            self._run(study, console, command)

    def _run(self, study: "Study", console: "Console", command: str) -> None:
        """Run, resume or try it."""
        from codistill import study as studies
        from codistill.report.power import before

        form = form_of(self.quiet, self.json)
        if self.dry_run:
            dry_run(partial(studies.compare, study), console, form)
            return
        folder = self.runs / (self.name or folder_name(study.recipe))
        there = (folder / "study.json").exists()
        if there and self.if_exists == "resume":
            if studies.load(folder) != study:
                raise FileExistsError(f"{folder} holds a comparison with other settings: choose another --name")
        elif there:
            raise FileExistsError(
                f"{folder} already exists: choose another --name, or --if-exists resume to go on with it"
            )
        if form == "lines" and (said := before(study)):
            console.print(said)
        records = compared(study, folder, self.on, go_on=there, command=command, trusted=modules_of_study(study))
        end(follow(records, folder, console, form, track=self.track))

    def study(self, recipe: str | None = None) -> "Study":
        """What is compared, by one of the recipes, or where none is named."""
        from codistill.report.power import pilot_spread

        start = recipe_of(recipe, self.quick) if recipe else start_of(self.settings, self.quick)
        study = study_of(start, self.settings, self.methods, self.seeds, self.retrainings)
        return study if self.pilot is None else dataclasses.replace(study, spread=pilot_spread(self.pilot))
