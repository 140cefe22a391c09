"""The commands, one class each: its fields are its options."""

import dataclasses
import hashlib
import json
import re
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from rich.console import Console

    from codistill.exchange.shared_folder import SharedFolder
    from codistill.study import Study

from codistill.cli.chapters import check_single, folder_name, run_chapters, write_page_of
from codistill.cli.copying import Copy
from codistill.cli.doctor import Doctor
from codistill.cli.export import Export
from codistill.cli.finish import dry_run, follow, form_of, say_if_unfinished, write_report_of
from codistill.cli.predict import Predict
from codistill.cli.settings import Settings, recipe_of, start_of, study_of
from codistill.cli.together import follow_together
from codistill.cli.verify import Verify
from codistill.run import Run

Mesh = Annotated[str | None, arg(metavar="MESH")]
What = Literal[
    "methods",
    "models",
    "data",
    "recipes",
    "divergences",
    "targets",
    "selections",
    "graphs",
    "augmentations",
    "shards",
    "noise",
    "schedules",
]
# Settings that do not tell runs apart: where data are, and how often something is saved.
WHERE = ("data_root", "download", "execute", "threads", "device", "checkpoint_every", "checkpoint_steps")
LONGEST = 60  # characters of the settings in the name of a folder
Track = tuple[Literal["tensorboard", "wandb", "mlflow"], ...]
RunFolder = Annotated[Path, arg(metavar="RUN", help="Folder of a run, or of one or several comparisons.")]


@dataclass
class Compare:
    """Compare methods with networks trained alone, over seeds, and write a report."""

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
    quiet: bool = False
    """Print nothing but warnings and errors."""
    json: bool = False
    """Print one JSON record per line: start, epochs, checkpoints, end, and the paths of what was written."""
    track: Track = ()
    """Write the records for these tools too (docs/tracking.md), into the folder."""
    settings: Settings = field(default_factory=Run)
    """Settings of the run. What is not given is the recipe's."""

    def __call__(self, console: "Console", command: str) -> None:
        from codistill import study as studies
        from codistill.discovery import trusting
        from codistill.report.power import before

        study, form = self.study(*self.recipe), form_of(self.quiet, self.json)
        trusted = {name for entry in study.entries for name in _named(entry.run)}
        if self.dry_run:
            with trusting(trusted):
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
        with trusting(trusted):
            records = studies.compare(study, folder, go_on=there, command=command)
            follow(records, folder, console, form, track=self.track)

    def study(self, recipe: str | None = None) -> "Study":
        """What is compared, by one of the recipes, or where none is named."""
        from codistill.report.power import pilot_spread

        start = recipe_of(recipe, self.quick) if recipe else start_of(self.settings, self.quick)
        study = study_of(start, self.settings, self.methods, self.seeds, self.retrainings)
        return study if self.pilot is None else dataclasses.replace(study, spread=pilot_spread(self.pilot))


@dataclass
class Train:
    """Train one cohort."""

    recipe: str | None = None
    """Start from a recipe's settings (a spec; codistill list recipes)."""
    name: str | None = None
    """Folder in --runs. none: named by data, method, seed and the settings that are not the defaults."""
    runs: Path = Path("runs")
    """Folder that holds the folders of runs."""
    dry_run: bool = False
    """Say what it would need (time, memory, disk) from a few timed steps, and leave nothing behind."""
    quiet: bool = False
    """Print nothing but warnings and errors."""
    json: bool = False
    """Print one JSON record per line: start, epochs, checkpoints, end, and the paths of what was written."""
    track: Track = ()
    """Write the records for these tools too (docs/tracking.md), into the folder."""
    mesh: Mesh = None
    """Processes of torchrun, by what is dealt out to them: peers and samples (peer=2,data=2). none: peers."""
    shared: Path | None = None
    """Folder where this process leaves the peers that it trains (own) and finds the others; runs of the same settings
    meet there, each with peers of its own and at its own pace. none: this process trains all peers."""
    own: tuple[int, ...] = ()
    """Peers that this process trains (shared only)."""
    share_every: int = 50
    """Steps between two looks into the shared folder."""
    settings: Settings = field(default_factory=Run)
    """Settings of the run. What is not given is the recipe's."""

    def __call__(self, console: "Console", command: str) -> None:
        from codistill.discovery import trusting
        from codistill.exchange import joined, restarts
        from codistill.training.loop import train

        run, form = self.settings, form_of(self.quiet, self.json)
        if self.dry_run:
            with trusting(_named(run)):
                dry_run(partial(train, run), console, form)
            return
        folder = self.runs / (self.name or default_name(run))
        with joined(self.mesh) as mesh, trusting(_named(run)):  # not what the folder of a teacher names besides
            goes_on = mesh.agreed((folder / "runs.json").exists())
            if goes_on and not restarts():
                raise FileExistsError(f"{folder} already exists: codistill resume {folder}, or choose another --name")
            records = train(run, folder, resume=goes_on, shared=self.shared_folder(), mesh=mesh)
            follow_together(mesh, records, folder, console, form, self.track)

    def shared_folder(self) -> "SharedFolder | None":
        """This process's part in a shared folder, where it has one."""
        from codistill.exchange.shared_folder import SharedFolder

        if self.shared is None:
            if self.own:
                raise ValueError("own: peers that one process trains meet the others in a folder: give --shared FOLDER")
            return None
        return SharedFolder(self.shared, self.own, self.share_every)


@dataclass
class Resume:
    """Resume an interrupted run or comparison; it ends exactly where an uninterrupted one would have."""

    run: Positional[RunFolder]
    quiet: bool = False
    """Print nothing but warnings and errors."""
    json: bool = False
    """Print one JSON record per line: start, epochs, checkpoints, end, and the paths of what was written."""
    trust: bool = False
    """Import the modules that the folder names (module:Name), which runs what is in them."""
    track: Track = ()
    """Write the records for these tools too (docs/tracking.md), into the folder."""
    mesh: Mesh = None
    """Of a run, as of train; it need not be the one that the run was started on."""
    shared: Path | None = None
    """Shared folder of a run that trains some peers only."""

    def __call__(self, console: "Console", command: str) -> None:
        with _trusting(self.trust):
            self.resume(console)

    def resume(self, console: "Console") -> None:
        """Go on with what is in the folder."""
        from codistill import study as studies
        from codistill.exchange import joined
        from codistill.exchange.shared_folder import SharedFolder
        from codistill.study.chapters import is_chapters, load_chapters
        from codistill.training.loop import resume

        form = form_of(self.quiet, self.json)
        with joined(self.mesh) as mesh:
            if mesh.size > 1 or not (is_chapters(self.run) or (self.run / "study.json").exists()):
                shared = SharedFolder(self.shared, ()) if self.shared is not None else None
                records = resume(self.run, teachers=studies.teachers_of(self.run), mesh=mesh, shared=shared)
                follow_together(mesh, records, self.run, console, form, self.track)
                return
        if is_chapters(self.run):
            run_chapters(load_chapters(self.run), self.run, console, form, self.track)
            return
        records = studies.compare(studies.load(self.run), self.run, go_on=True)
        follow(records, self.run, console, form, track=self.track)


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
        with _trusting(self.trust):
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
            console.print(results_table(results(fleet, part)))
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


@dataclass
class Analyze:
    """Analyse finished runs: flatness of minima, confidence, divergence between peers.

    Prints tables and writes analysis.json and analysis.html into the run's folder.
    """

    run: Positional[Annotated[tuple[Path, ...], arg(metavar="RUN...", help="Folders of runs, or of one comparison.")]]
    out: Path | None = None
    """Folder for the output. none: the run's folder; several runs need one."""
    examples: int = 512
    """Maximum number of training examples for noise, sharpness, curvature and surfaces; 4 times as many for losses."""
    networks: int = 2
    """Maximum number of networks per run: the first ones."""
    draws: int = 5
    """Number of draws of weight noise."""
    probes: int = 10
    """Number of probes of the Hessian's trace."""
    seed: int = 0
    """Seed of the noise, the probes, the directions and the choice of examples."""
    skip: tuple[Literal["noise", "sharpness", "hessian", "surface", "path"], ...] = ()
    """Measures to leave out."""
    trust: bool = False
    """Import the modules that the folders name (module:Name), which runs what is in them."""

    def __call__(self, console: "Console", command: str) -> None:
        from codistill import files
        from codistill.analysis import Settings, analyze
        from codistill.report.analysis_page import write_analysis
        from codistill.report.analysis_tables import print_analysis

        settings = Settings(self.examples, self.networks, self.draws, self.probes, seed=self.seed, skip=self.skip)
        for run in self.run:
            check_single(run)
        folder = _analysis_folder(self.run, self.out)
        with _trusting(self.trust):
            analysis = analyze(self.run, settings, say=console.print)
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(folder / "analysis.json", analysis.to_json())
        path = write_analysis(analysis, folder / "analysis.html", command)
        print_analysis(analysis, console)
        console.print(f"Analysis: {path}")


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


@dataclass
class Report:
    """Rewrite the report of a run, a comparison or several from their raw results; of several folders, one page."""

    run: Positional[Annotated[tuple[Path, ...], arg(metavar="RUN...", help="Folders of runs or of comparisons.")]]
    out: Path | None = None
    """Folder for the page of several RUNs."""

    def __call__(self, console: "Console", command: str) -> None:
        from codistill.cli.several import report_several
        from codistill.discovery import trusting
        from codistill.study.chapters import is_chapters

        with trusting(()):
            if len(self.run) != 1:
                report_several(self.run, self.out, console, command)
            elif is_chapters(self.run[0]):
                write_page_of(self.run[0], console)
            else:
                write_report_of(self.run[0], console)


@dataclass
class List:
    """List methods, models, data sets, recipes, or what else a setting may name."""

    what: Positional[What | None] = None
    """What to list. Left out: what can be listed."""

    def __call__(self, console: "Console", command: str) -> None:
        from codistill.cli.listing import listing

        if self.what is None:
            console.print("\n".join(f"codistill list {what}" for what in get_args(What)))
        else:
            console.print(listing(self.what))


@dataclass
class Show:
    """Print a run's settings as JSON; of a recipe, beside them (on stderr) its rows, seeds, networks and cost."""

    recipe: str | None = None
    """Start from a recipe's settings (a spec; codistill list recipes)."""
    settings: Settings = field(default_factory=Run)
    """Settings of the run. What is not given is the recipe's."""

    def __call__(self, console: "Console", command: str) -> None:
        if self.recipe:
            from codistill.report.plan import plan

            recipe = recipe_of(self.recipe)
            try:
                lines = plan(study_of(recipe, self.settings, (), ()))
            except ValueError as error:  # settings that one run of it may have
                lines = [f"No comparison has these settings, only train: {error}."]
            print("\n".join(lines), file=sys.stderr)
        print(self.settings.to_json(), end="")


COMMANDS: dict[str, Any] = {
    c.__name__.lower(): c
    for c in (
        *(Compare, Train, Resume, Evaluate, Predict, Export, Analyze, Suspects),
        *(Report, Verify, List, Show, Copy, Doctor),
    )
}


def _trusting(trust: bool) -> AbstractContextManager[None]:
    """What is imported of the modules that a folder names: any, or none."""
    from codistill.discovery import trusting

    return trusting(None if trust else ())


def _named(run: Run) -> set[str]:
    """The names before the colons in a run's specs, and in those that are options of them."""
    specs = [value for value in run.as_dict().values() for value in (value if isinstance(value, list) else [value])]
    return {part for text in specs for part in re.findall(r"[\w.]+(?=:)", str(text))}


def default_name(run: Run) -> str:
    """The folder of a run: its data, its name, and what else of its settings is not the default, shortened to a hash
    where that is long.
    """
    usual, named = Run().as_dict(), ("data", "method", "peers", "update", "seed", "retraining")
    others = {k: v for k, v in run.as_dict().items() if k not in (*named, *WHERE) and v != usual[k]}
    text = "".join(f"-{k}={' '.join(map(str, v)) if isinstance(v, list) else v}" for k, v in others.items())
    if len(text) > LONGEST:
        text = "-" + hashlib.sha256(json.dumps(others).encode()).hexdigest()[:8]
    return re.sub(r"[^\w.=-]+", "-", f"{run.data}-{run.name}{text}")


def _analysis_folder(runs: Sequence[Path], out: Path | None) -> Path:
    """Where an analysis goes; what somebody else wrote there is not touched."""
    if out is None and len(runs) > 1:
        raise ValueError(f"out=None: {len(runs)} runs have no folder in common; say where with --out FOLDER")
    folder = out if out is not None else runs[0] if runs else Path()
    from codistill.report.analysis_page import is_analysis

    for name in ("analysis.json", "analysis.html"):
        if (folder / name).exists() and not is_analysis(folder / name):
            raise FileExistsError(
                f"{folder / name} exists and was not made by analyze: move it, or choose another --out"
            )
    return folder
