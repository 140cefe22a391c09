"""``codistill analyze``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from codistill.cli.chapters import check_single
from codistill.cli.commands.options import trusting

if TYPE_CHECKING:
    from rich.console import Console


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
        with trusting(self.trust):
            analysis = analyze(self.run, settings, say=console.print)
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(folder / "analysis.json", analysis.to_json())
        path = write_analysis(analysis, folder / "analysis.html", command)
        print_analysis(analysis, console)
        console.print(f"Analysis: {path}")


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
