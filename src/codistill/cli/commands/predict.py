"""``codistill predict``: what a trained network says of files."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

from tyro.conf import Positional, arg

if TYPE_CHECKING:
    from rich.console import Console

Opened = Annotated[Path, arg(metavar="RUN", help="Folder of a run, or of a comparison (then with --row).")]


@dataclass
class Predict:
    """Predict images or texts with a trained network: CSV or JSON lines, class and confidence of each.

    The training data are not needed. What cannot be read is named on stderr, the rest is predicted, and the exit code
    is 1.
    """

    run: Positional[Opened]
    files: Positional[Annotated[tuple[Path, ...], arg(metavar="FILES...")]]
    """Images or folders of images; or texts: .csv and .tsv files with a column of them, others with one to a line."""
    network: str = "best"
    """A network's number, a model, best (on validation data; network 0 where there were none) or ensemble."""
    row: str | None = None
    """Row of a comparison, such as dml:peers=2."""
    seed: int | None = None
    """Seed, where there are several. none: the first."""
    column: str = "text"
    """Column of a table that holds the texts."""
    format: Literal["csv", "json"] = "csv"
    """Form of the output; json is one object to a line."""
    probabilities: bool = False
    """Print the probabilities of all classes too."""
    out: Path | None = None
    """File for the output. none: print it."""
    overwrite: bool = False
    """Replace the file of --out if it exists."""
    batch: int = 64
    """Inputs at a time."""
    device: str = "auto"
    """Device: auto, cpu, cuda, cuda:N or mps."""
    trust: bool = False
    """Import the module of networks that are your own (my_nets:Net), which runs its code."""

    def __call__(self, console: "Console", command: str) -> None:
        from codistill.deployment import load
        from codistill.deployment.prediction import predict, write_csv, write_json

        if not self.files:
            raise ValueError("FILES is empty: name images, folders of images, or files of texts")
        unreadable: list[str] = []

        def name(message: str) -> None:
            unreadable.append(message)
            print(f"codistill: {message}", file=sys.stderr)

        with _output(self.out, self.overwrite) as file:
            net = load(self.run, self.network, row=self.row, seed=self.seed, trust=self.trust, device=self.device)
            print(f"codistill: {net.name} of {self.run}: {net.chosen}", file=sys.stderr)
            answers = predict(net, self.files, column=self.column, batch=self.batch, unreadable=name)
            (write_csv if self.format == "csv" else write_json)(answers, file, every=self.probabilities)
        if unreadable:
            raise SystemExit(1)


@contextmanager
def _output(path: Path | None, overwrite: bool) -> Iterator[TextIO]:
    """Where answers go: the terminal, or a file that is there when all are written."""
    if path is None:
        yield sys.stdout
        return
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} already exists: choose another --out, or --overwrite")
    draft = path.with_name(f"{path.name}.part")
    try:
        with draft.open("w", encoding="utf-8", newline="") as file:
            yield file
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
