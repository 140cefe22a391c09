"""``codistill export``: a trained network for programs that know nothing of this package."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from codistill.cli.commands.predict import Opened

if TYPE_CHECKING:
    from rich.console import Console


@dataclass
class Export:
    """Export a trained network, or the ensemble, with its preprocessing and a model card.

    safetensors is the plain state dict; onnx (checked in onnxruntime) and torch (torch.export) are programs of any
    batch size that normalise images themselves. The training data are not needed.
    """

    run: Positional[Opened]
    format: Literal["safetensors", "onnx", "torch"] = "safetensors"
    """Form of the network; onnx needs pip install 'codistill[export]'."""
    network: str = "best"
    """A network's number, a model, best (on validation data; network 0 where there were none) or ensemble."""
    row: str | None = None
    """Row of a comparison, such as dml:peers=2."""
    seed: int | None = None
    """Seed, where there are several. none: the first."""
    out: Path | None = None
    """New folder for the files. none: export-FORMAT in the run's folder."""
    device: str = "cpu"
    """Device of a torch program, which is bound to one: cpu, cuda, cuda:N or mps."""
    trust: bool = False
    """Import the module of networks that are your own (my_nets:Net), which runs its code."""

    def __call__(self, console: "Console", command: str) -> None:
        from codistill.deployment.exporting import export

        folder = self.out or self.run / f"export-{self.format}"
        path = export(
            self.run,
            folder,
            self.network,
            format=self.format,
            row=self.row,
            seed=self.seed,
            trust=self.trust,
            device=self.device,
        )
        console.print(f"Network: {path}\nIts inputs, outputs and classes: {folder / 'config.json'}", soft_wrap=True)
        console.print(f"Model card: {folder / 'README.md'}", soft_wrap=True)
