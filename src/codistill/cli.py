"""The command line. Torch is imported only by what needs it, so that help is instant."""

import dataclasses
import json
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from tyro.conf import OmitArgPrefixes, Positional, arg

from codistill.names import UnknownName
from codistill.run import Run

if TYPE_CHECKING:
    from rich.console import Console

    from codistill.study import Study

RunFolder = Annotated[Path, arg(metavar="RUN", help="Folder of a run or of a comparison.")]


class Given(Run):
    """Settings as they stand on the command line; a `Run` is made of them, and checks them, with the recipe's."""

    def __post_init__(self) -> None:
        pass


Settings = Annotated[Given, OmitArgPrefixes]
IF_EXISTS = Literal["error", "resume"]


@dataclass
class Compare:
    """Compare methods with networks trained alone, over seeds, and write a report.

    Every setting of a run can be given; what is not given is the recipe's.
    """

    recipe: str = "digits"
    """The experiment, a spec: `codistill list recipes`."""
    methods: tuple[str, ...] = ()
    """Methods, specs that may also set a run's settings: alone dml:peers=4 kd:teacher=runs/big. Empty: the recipe's."""
    seeds: tuple[int, ...] = ()
    """One number N for the seeds 0 to N-1, or the seeds themselves. Empty: the recipe's."""
    name: str | None = None
    """Folder below --runs. None: the recipe's name."""
    runs: Path = Path("runs")
    """Where folders of runs are."""
    if_exists: IF_EXISTS = "error"
    """What to do where the folder is there already: stop, or go on with what is in it."""
    quick: bool = False
    """See in a minute that all is in place: few examples, small networks, one epoch. Its figures mean nothing."""
    settings: Settings = field(default_factory=Given)

    def __call__(self, console: "Console", given: dict[str, Any], command: str) -> None:
        from codistill import study as studies

        study = _study(self.recipe, given, self.methods, self.seeds, self.quick)
        folder = self.runs / (self.name or re.sub(r"[^\w.=-]+", "-", study.recipe))
        there = (folder / "study.json").exists()
        if there and self.if_exists == "resume":
            if studies.load(folder) != study:
                raise FileExistsError(f"{folder} holds a comparison with other settings: choose another --name")
        elif there:
            raise FileExistsError(
                f"{folder} is there already: choose another --name, or --if-exists resume to go on with it"
            )
        _run_study(study, folder, console, go_on=there, command=command)


@dataclass
class Train:
    """Train one cohort. Every setting of a run can be given; what is not given is the recipe's."""

    recipe: str | None = None
    """Start from a recipe's settings: `codistill list recipes`."""
    name: str | None = None
    """Folder below --runs. None: made of method, data and seed."""
    runs: Path = Path("runs")
    """Where folders of runs are."""
    settings: Settings = field(default_factory=Given)

    def __call__(self, console: "Console", given: dict[str, Any], command: str) -> None:
        from codistill.train import train

        run = _run(self.recipe, given)
        folder = self.runs / (self.name or re.sub(r"[^\w.=-]+", "-", f"{run.data}-{run.name}"))
        if (folder / "runs.json").exists():
            raise FileExistsError(f"{folder} is there already: codistill resume {folder}, or choose another --name")
        _run_training(train(run, folder), folder, console)


@dataclass
class Resume:
    """Go on with an interrupted run or comparison; it ends where an unbroken one would have."""

    run: Positional[RunFolder]

    def __call__(self, console: "Console", given: dict[str, Any], command: str) -> None:
        from codistill import study as studies
        from codistill.train import resume

        if (self.run / "study.json").exists():
            _run_study(studies.load(self.run), self.run, console, go_on=True, command="")
        else:
            _run_training(resume(self.run, teachers=studies.teachers_of(self.run)), self.run, console)


@dataclass
class Evaluate:
    """Measure the networks of a run's newest checkpoint."""

    run: Positional[RunFolder]
    part: Literal["test", "valid", "train"] = "valid"
    """Part of the data. The test set is for the end."""
    against: Path | None = None
    """Folder of another run: print how many predictions change from the first to this one."""

    def __call__(self, console: "Console", given: dict[str, Any], command: str) -> None:
        from codistill import study as studies
        from codistill.report.results import results_table
        from codistill.train import restored, results

        if self.against is not None:
            self._compare(self.against, console)
            return
        whole = (self.run / "study.json").exists()
        folders = [part.folder for part in studies.parts(studies.load(self.run), self.run)] if whole else [self.run]
        for folder in folders:
            console.print(results_table(results(restored(folder, teachers=studies.teachers_of(folder)), self.part)))

    def _compare(self, other: Path, console: "Console") -> None:
        from codistill import study as studies
        from codistill.evaluate import changes
        from codistill.report.results import changes_table
        from codistill.train import restored

        for folder in (self.run, other):
            if (folder / "study.json").exists():
                raise ValueError(f"{folder} is a comparison: give two runs, such as {folder / 'parts' / '000'}")
        before, after = (restored(folder, teachers=studies.teachers_of(folder)) for folder in (self.run, other))
        console.print(changes_table(changes(before, after, self.part)))


@dataclass
class Analyze:
    """Look why it works: flatness of minima, certainty, and what peers make of each other, in finished runs.

    Prints tables and writes analysis.json and analysis.html into the run's folder.
    """

    run: Positional[Annotated[tuple[Path, ...], arg(metavar="RUN...", help="Folders of runs, or of one comparison.")]]
    out: Path | None = None
    """Folder for what is written. None: the run's; several runs need one."""
    examples: int = 512
    """Training examples, at most, for noise, sharpness, curvature and surfaces; 4 times as many for losses."""
    networks: int = 2
    """Networks of each run, at most: its first ones."""
    draws: int = 5
    """Draws of weight noise."""
    probes: int = 10
    """Probes of the Hessian's trace."""
    seed: int = 0
    """Of noise, probes, directions, and of which examples."""
    skip: tuple[Literal["noise", "sharpness", "hessian", "surface", "path"], ...] = ()
    """What to leave out."""

    def __call__(self, console: "Console", given: dict[str, Any], command: str) -> None:
        from codistill.analysis import Settings, analyze
        from codistill.report.analysis_page import write_analysis
        from codistill.report.analysis_table import print_analysis

        settings = Settings(self.examples, self.networks, self.draws, self.probes, seed=self.seed, skip=self.skip)
        folder = _analysis_folder(self.run, self.out)
        found = analyze(self.run, settings, say=console.print)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "analysis.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        path = write_analysis(found, folder / "analysis.html", command)
        print_analysis(found, console)
        console.print(f"Analysis: {path}")


@dataclass
class Report:
    """Write the report of a run or a comparison anew from its raw results."""

    run: Positional[RunFolder]

    def __call__(self, console: "Console", given: dict[str, Any], command: str) -> None:
        _write_report(self.run, console)


@dataclass
class List:
    """List what there is."""

    what: Positional[Literal["methods", "models", "data", "recipes"]]

    def __call__(self, console: "Console", given: dict[str, Any], command: str) -> None:
        from codistill.report.lists import listing

        console.print(listing(self.what))


@dataclass
class Show:
    """Print a resolved run as JSON."""

    recipe: str | None = None
    """Start from a recipe's settings: `codistill list recipes`."""
    settings: Settings = field(default_factory=Given)

    def __call__(self, console: "Console", given: dict[str, Any], command: str) -> None:
        print(_run(self.recipe, given).to_json(), end="")


Command = Compare | Train | Resume | Evaluate | Analyze | Report | List | Show
COMMANDS: dict[str, Callable[..., Any]] = {
    c.__name__.lower(): c for c in (Compare, Train, Resume, Evaluate, Analyze, Report, List, Show)
}


# What the commands share ----------------------------------------------------------------------------------------------


def _given(command: Any, argv: Sequence[str]) -> dict[str, Any]:
    """The run's settings that stand on the command line; those that do not are the recipe's to say."""
    run = getattr(command, "settings", None)
    if run is None:
        return {}
    said = {word.partition("=")[0].replace("_", "-").replace("--no-", "--", 1) for word in argv if word[:2] == "--"}
    names = [f.name for f in dataclasses.fields(run)]
    return {name: getattr(run, name) for name in names if "--" + name.replace("_", "-") in said}


def _run(recipe: str | None, given: dict[str, Any]) -> Run:
    if recipe is None:
        return Run(**given)
    from codistill import recipes

    return recipes.get(recipe).base.replace(**given)


def _study(
    recipe: str, given: dict[str, Any], methods: tuple[str, ...], seeds: tuple[int, ...], quick: bool = False
) -> "Study":
    from codistill import recipes
    from codistill.recipes.quick import quick as shortened

    study = shortened(recipes.get(recipe)) if quick else recipes.get(recipe)
    if "method" in given or "seed" in given:
        raise ValueError("a comparison has many methods and seeds: use --methods and --seeds")
    if len(seeds) == 1:
        if seeds[0] < 1:
            raise ValueError(f"seeds={seeds[0]}: give the number of seeds, at least 1, or the seeds themselves")
        seeds = tuple(range(seeds[0]))
    return dataclasses.replace(
        study,
        base=study.base.replace(**given),
        methods=methods or study.methods,
        seeds=seeds or study.seeds,
    )


def _run_study(study: "Study", folder: Path, console: "Console", *, go_on: bool, command: str) -> None:
    from codistill.report.progress import Interrupted, watch
    from codistill.study import compare

    try:
        watch(compare(study, folder, go_on=go_on, command=command), console)
    except Interrupted as stop:
        _say_how_to_resume(stop, folder, console)
    _write_report(folder, console)


def _run_training(records: Any, folder: Path, console: "Console") -> None:
    from codistill.report.progress import Interrupted, watch
    from codistill.train import logged

    try:
        watch(logged(records, folder), console)
    except Interrupted as stop:
        _say_how_to_resume(stop, folder, console)
    _write_report(folder, console)


def _analysis_folder(runs: Sequence[Path], out: Path | None) -> Path:
    """Where an analysis goes; what somebody else wrote there is not touched."""
    if out is None and len(runs) > 1:
        raise ValueError(f"out=None: {len(runs)} runs have no folder in common; say where with --out FOLDER")
    folder = out if out is not None else runs[0] if runs else Path()
    from codistill.report.analysis_page import is_analysis

    for name in ("analysis.json", "analysis.html"):
        if (folder / name).exists() and not is_analysis(folder / name):
            raise FileExistsError(
                f"{folder / name} is there and was not made by analyze: move it, or choose another --out"
            )
    return folder


def _warn(lines: Sequence[dict[str, Any]], console: "Console") -> None:
    """What the KL watch would have somebody change, one line each."""
    from codistill.analysis.watch import warnings

    for one in warnings(lines):
        console.print(f"Warning: {one}", soft_wrap=True, markup=False)


def _say_how_to_resume(stop: Exception, folder: Path, console: "Console") -> None:
    console.print(f"\n{str(stop).capitalize()}. Nothing is lost. Go on with:\n  codistill resume {folder}")
    raise SystemExit(130)


def _write_report(folder: Path, console: "Console") -> None:
    from codistill import study as studies
    from codistill.checkpoint import read_runs
    from codistill.report.markdown import markdown
    from codistill.report.page import write_report, write_run_report
    from codistill.report.results import results_table
    from codistill.report.table import rich_table
    from codistill.train import read_lines

    results = read_lines(folder / "results.jsonl")
    path = folder / "report.html"
    if (folder / "study.json").exists():
        if not (folder / "summary.json").exists():
            raise FileNotFoundError(f"{folder} is not finished: codistill resume {folder}")
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        log = studies.log_of(studies.load(folder), folder)
        write_report(summary, log, results, path)
        (folder / "report.md").write_text(markdown(summary), encoding="utf-8")
        console.print(rich_table(summary))
    else:
        runs = [run.as_dict() for run in read_runs(folder)]
        log = [line for line in read_lines(folder / "log.jsonl") if line["kind"] == "epoch"]
        write_run_report(runs, log, results, path)
        console.print(results_table(results))
    _warn(log, console)
    console.print(f"Report: {path}")


def main(argv: Sequence[str] | None = None) -> None:
    """The program ``codistill``."""
    argv = list(sys.argv[1:] if argv is None else argv)
    _suggest(argv)
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # module:Name may be a file of the folder that one is in
    words = [re.sub(r"^(--[\w-]+=)?none$", r"\1None", word) for word in argv]  # as specs write it
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        _obey(words, argv)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """One line for whoever typed the command; where in the code it was said does not help them."""
    print("codistill: warning:", " ".join(str(message).split()), file=sys.stderr)


def _obey(words: Sequence[str], argv: Sequence[str]) -> None:
    """Run the command; what went wrong is one line, and exit code 1."""
    try:
        command: Callable[..., None] = tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="codistill", description="Networks that learn together.", args=words
        )
        from rich.console import Console

        console = Console(highlight=False, soft_wrap=False)
        command(console, _given(command, argv), " ".join(["codistill", *argv]))
    except KeyboardInterrupt:
        raise SystemExit("codistill: interrupted") from None
    except (ValueError, ArithmeticError, ImportError, OSError) as error:
        raise SystemExit(f"codistill: error: {error}") from None


def _suggest(argv: Sequence[str]) -> None:
    """A misspelt command, or setting of one, gets the nearest valid one."""
    if not argv or argv[0].startswith("-"):
        return
    if argv[0] not in COMMANDS:
        raise SystemExit(f"codistill: error: {UnknownName('command', argv[0], COMMANDS)}")
    said = [word.partition("=")[0] for word in argv[1:] if word.startswith("--")]
    valid = _flags(COMMANDS[argv[0]])
    for flag in said:
        if flag.replace("_", "-") not in valid:
            raise SystemExit(f"codistill: error: {UnknownName(f'setting of {argv[0]}', flag, valid)}")


def _flags(command: Any) -> set[str]:
    """Every ``--flag`` of a command."""
    flags = {"--help"}
    for own in dataclasses.fields(command):
        names = [f.name for f in dataclasses.fields(Run)] if own.name == "settings" else [own.name]
        flags |= {"--" + name.replace("_", "-") for name in names}
    switches = {f.name for f in (*dataclasses.fields(command), *dataclasses.fields(Run)) if isinstance(f.default, bool)}
    return flags | {f"--no-{n.replace('_', '-')}" for n in switches if f"--{n.replace('_', '-')}" in flags}


if __name__ == "__main__":
    main()
