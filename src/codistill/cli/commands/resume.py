"""``codistill resume``."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from codistill.cli.chapters import run_chapters
from codistill.cli.commands.options import Mesh, RunFolder, Track, trusting
from codistill.cli.commands.tune import follow_tuning
from codistill.cli.finish import end, follow, form_of
from codistill.cli.spread import check_one_recipe, compared
from codistill.cli.together import follow_together

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Resume:
    """Resume an interrupted run, comparison or tuning; it ends exactly where an uninterrupted one would have.

    Exit code 3 where nothing was learnt (docs/running.md).
    """

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
    on: str | None = None
    """Of a comparison, as of compare."""
    shared: Path | None = None
    """Shared folder of a run that trains some peers only."""

    def __call__(self, console: "Console", command: str) -> None:
        with trusting(self.trust):
            self.resume(console)

    def resume(self, console: "Console") -> None:
        """Go on with what is in the folder."""
        from codistill import study as studies
        from codistill.exchange import joined
        from codistill.exchange.shared_folder import SharedFolder
        from codistill.study.chapters import is_chapters, load_chapters
        from codistill.study.tuning import FILE, load
        from codistill.training.loop import resume

        form = form_of(self.quiet, self.json)
        with joined(self.mesh) as mesh:
            whole = is_chapters(self.run) or any((self.run / name).exists() for name in ("study.json", FILE))
            if mesh.size > 1 or not whole:
                if self.on is not None:
                    raise ValueError(f"on={self.on!r} is for comparisons; {self.run} is one run: leave it out")
                shared = SharedFolder(self.shared, ()) if self.shared is not None else None
                records = resume(self.run, teachers=studies.teachers_of(self.run), mesh=mesh, shared=shared)
                follow_together(mesh, records, self.run, console, form, self.track)
                return
        if (self.run / FILE).exists():
            follow_tuning(load(self.run), self.run, console, form)
            return
        if is_chapters(self.run):
            check_one_recipe(self.on)
            run_chapters(load_chapters(self.run), self.run, console, form, self.track)
            return
        trusted = None if self.trust else ()
        records = compared(studies.load(self.run), self.run, self.on, go_on=True, trusted=trusted)
        end(follow(records, self.run, console, form, track=self.track))
