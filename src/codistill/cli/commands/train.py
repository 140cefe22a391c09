"""``codistill train``."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from codistill.cli.commands.options import Mesh, Track
from codistill.cli.finish import dry_run, form_of
from codistill.cli.settings import Settings, modules_of
from codistill.cli.together import follow_together
from codistill.run import Run

if TYPE_CHECKING:
    from rich.console import Console

    from codistill.exchange.shared_folder import SharedFolder

# Settings that do not tell runs apart: where data are, and how often something is saved.
WHERE = ("data_root", "download", "execute", "threads", "device", "checkpoint_every", "checkpoint_steps")
LONGEST = 60  # characters of the settings in the name of a folder


@dataclass
class Train:
    """Train one cohort. Exit code 3 where nothing was learnt (docs/running.md)."""

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
    """Processes of torchrun, by what is dealt out to them: peers and samples (peer=2,data=2), and with shard=true the
    weights of a peer along data. none: peers."""
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
            with trusting(modules_of(run)):
                dry_run(partial(train, run), console, form)
            return
        folder = self.runs / (self.name or default_name(run))
        with joined(self.mesh) as mesh, trusting(modules_of(run)):  # not what the folder of a teacher names besides
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
