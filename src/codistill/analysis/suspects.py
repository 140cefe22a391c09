"""Training examples whose labels all peers dispute: where several networks agree against a label, it may be wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from codistill.data.shown import images_of, texts_of
from codistill.data.split import CLEAN
from codistill.losses.posterior import log_posterior
from codistill.metrics.decisions import class_logits
from codistill.run import Run
from codistill.training.evaluate import predictions
from codistill.training.fleet import Fleet
from codistill.training.loop import restored


def margins(logits: Tensor, y: Tensor) -> Tensor:
    """How far each peer is from an example's label: max_{c != y} p_c - p_y, from -1 (sure of it) to 1, ``[P, N]``.

    The negative of the normalised margin of confident learning, Northcutt et al., JAIR 2021, arXiv:1911.00068.

    Args:
        logits: ``[P, N, C]``.
        y: labels ``[N]``.
    """
    p = log_posterior(logits).exp()
    at = y.expand(len(p), -1).unsqueeze(-1)
    return p.scatter(-1, at, -1.0).max(-1).values - p.gather(-1, at).squeeze(-1)


def ranked(logits: Tensor, y: Tensor) -> Tensor:
    """The examples whose label every peer disputes (its margin is above 0), by their mean margin, largest first."""
    margin = margins(logits, y)
    disputed = (margin > 0).all(0).nonzero().flatten()
    return disputed[margin.mean(0)[disputed].argsort(descending=True, stable=True)]


@dataclass(frozen=True)
class Suspect:
    """An example whose label all peers of a run dispute.

    Attributes:
        rank: 1 is the first that one should look at.
        index: its number in the training data.
        label: the label that it was trained with.
        predicted: the class of the peers' mean posterior.
        margin: mean over the peers of their `margins`.
        p_label: mean posterior of the label.
        p_predicted: of the predicted class.
        changed: whether ``noise`` has changed the label; None where there was none.
        text: decoded from its token ids; empty where it is an image.
    """

    rank: int
    index: int
    label: str
    predicted: str
    margin: float
    p_label: float
    p_predicted: float
    changed: bool | None = None
    text: str = ""


@dataclass(frozen=True, eq=False)
class Suspects:
    """Those of one run.

    Attributes:
        run: whose peers dispute the labels.
        examples: how many training examples it has.
        noisy: the fraction of the labels that ``noise`` has changed.
        found: in order.
        images: of the first ``len(images)``, ``[n, C, H, W]`` on the 0..1 scale; None where there are none.
    """

    run: Run
    examples: int
    noisy: float
    found: tuple[Suspect, ...]
    images: Tensor | None

    @property
    def precision(self) -> float | None:
        """The fraction of those found whose label ``noise`` has changed; None without noise, or where none is found."""
        if self.run.noise == CLEAN or not self.found:
            return None
        return sum(bool(suspect.changed) for suspect in self.found) / len(self.found)


def suspects(folder: str | Path, shown: int = 60, teachers: Mapping[str, Path] | None = None) -> list[Suspects]:
    """What the peers of each run of a folder dispute, by the networks of its newest checkpoint.

    Args:
        folder: of a run.
        shown: how many images to keep of each.
        teachers: as of `train`.

    Raises:
        FileNotFoundError: there is no run, or no checkpoint yet.
        ValueError: an example has several labels, or many.
    """
    fleet = restored(folder, teachers=teachers)
    if fleet.dataset.task not in ("classes", "binary"):
        raise ValueError(f"{folder}: task={fleet.dataset.task!r} has no single label for each example to dispute")
    every = predictions(fleet, "train")
    return [_of(fleet, run, logits.cpu(), y.cpu(), shown) for run, logits, y in every]


def _of(fleet: Fleet, run: Run, logits: Tensor, y: Tensor, shown: int) -> Suspects:
    """Of one run: its peers' logits ``[P, N, C]`` and its labels ``[N]``."""
    outputs, part = class_logits(logits, fleet.dataset.task), fleet.streams.parts[fleet.streams.seeds.index(run.seed)]
    order, index = ranked(outputs, y), part.index.cpu()
    p, margin = log_posterior(outputs).exp().mean(0), margins(outputs, y).mean(0)
    best, names, true = p.argmax(-1), fleet.dataset.label_names, fleet.dataset.train.y.cpu()[index]
    texts = texts_of(fleet.dataset, fleet.dataset.train, index[order])
    found = tuple(
        Suspect(
            rank=rank,
            index=int(index[i]),
            label=names[y[i]],
            predicted=names[best[i]],
            margin=float(margin[i]),
            p_label=float(p[i, y[i]]),
            p_predicted=float(p[i].max()),
            changed=None if run.noise == CLEAN else bool(true[i] != y[i]),
            text=text,
        )
        for rank, (i, text) in enumerate(zip(order.tolist(), texts, strict=True), start=1)
    )
    images = images_of(fleet.dataset.train, index[order[:shown]])
    return Suspects(run, len(y), part.noisy, found, images)
