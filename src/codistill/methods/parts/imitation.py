"""How the others' posteriors are imitated: where, what of them, which samples, and when."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from codistill import discovery
from codistill.batch import Batch
from codistill.checks import number, one_of
from codistill.graph import Graph, along, blend
from codistill.losses import selections, targets
from codistill.losses.divergence import Divergence, imitate
from codistill.losses.posterior import log_posterior
from codistill.losses.selections import Selection
from codistill.losses.targets import Target
from codistill.methods.parts.ramp import ramp as sigmoid_ramp
from codistill.spec import Spec, WrongKind

WHERE = ("all", "labelled", "unlabelled")


class Imitation:
    """r(t) * mean over x in ON of s(x) D(target(others), p_i).

    Args:
        on: ON, ``all``, ``labelled`` or ``unlabelled`` samples, of those that all peers have. Where peers have labelled
            samples of their own (``shards``), these are the unlabelled ones.
        target: what of the others: ``soft``, their posterior; ``hard``, its argmax; ``sharpened:T``, a temperature for
            the target alone.
        select: s, the samples that add to the mean: ``all``; ``confident:THRESHOLD``, where the target is; ``agree``,
            where it chooses the student's class; ``small_loss:rate=0.2;ramp=0.05``, the labelled ones where the
            target's own loss is least. A sample that is not selected adds 0.
        burn_in: fraction of the training before which r = 0.
        ramp: fraction of the training over which r rises from there to 1 (see `ramp`).

    Attributes:
        kept: of the last call, the fraction of ON that was selected, ``[P]``; None where all are.
    """

    def __init__(
        self,
        on: str = "all",
        target: str | Target = "soft",
        select: str | Selection = "all",
        burn_in: float = 0.0,
        ramp: float = 0.0,
    ) -> None:
        one_of("on", on, WHERE)
        self.on = on
        self.target = _built(targets.__name__, target, Target)
        self.select: Selection | None = None if select == "all" else _built(selections.__name__, select, Selection)
        if on == "unlabelled" and self.select is not None and self.select.labels:
            raise ValueError(f"select={select} judges by labels, and on='unlabelled' has none: set on=labelled")
        self.burn_in, self.ramp = number("burn_in", burn_in, 0.0, 1.0), number("ramp", ramp, 0.0, 1.0)
        self.kept: Tensor | None = None

    def along(
        self,
        graph: Graph,
        divergence: Divergence,
        *,
        students: Tensor,
        sources: Tensor,
        of: Batch,
        progress: float | None,
        temperature: float | Graph = 1.0,
    ) -> Tensor:
        """`codistill.graph.along` of the sources' targets, ``[P]``; their mean posterior is what judges a sample."""
        batch = self.samples(of)

        def others() -> Tensor:
            p = blend(graph, logits=sources, students=len(students), task=of.task)
            return p / p.sum(-1, keepdim=True).clamp(min=1e-12)

        selected = self._selected(others, students, batch, progress)
        sources = self.target.logits(sources, of.task)
        values = along(
            graph, divergence, students=students, sources=sources, of=batch, temperature=temperature, selected=selected
        )
        return self.rise(progress) * values

    def imitate(
        self,
        divergence: Divergence,
        *,
        students: Tensor,
        sources: Tensor | None = None,
        posteriors: Tensor | None = None,
        of: Batch,
        progress: float | None,
        temperature: float = 1.0,
    ) -> Tensor:
        """`codistill.losses.divergence.imitate` of one target for each student, ``[P]``."""
        batch = self.samples(of)

        def others() -> Tensor:
            return log_posterior(sources, of.task).exp() if posteriors is None else posteriors  # type: ignore[arg-type]

        selected = self._selected(others, students, batch, progress)
        values = imitate(
            divergence,
            students=students,
            sources=None if sources is None else self.target.logits(sources, of.task),
            posteriors=None if posteriors is None else self.target.posteriors(posteriors),
            of=batch,
            temperature=temperature,
            selected=selected,
        )
        return self.rise(progress) * values

    def samples(self, batch: Batch) -> Batch:
        """The batch with those of ON in its mask.

        Raises:
            ValueError: labelled samples are to be compared, and each peer has its own.
        """
        if batch.private and self.on == "labelled":
            raise ValueError("on='labelled': peers have labelled samples of their own (shards): set on=unlabelled")
        on = "unlabelled" if batch.private else self.on
        if on == "all":
            return batch
        labelled = (batch.y >= 0).all(-1) if batch.task == "multilabel" else batch.y >= 0
        chosen = labelled if on == "labelled" else ~labelled
        return replace(batch, mask=chosen if batch.mask is None else chosen * batch.mask)

    def rise(self, progress: float | None) -> float:
        """r(t); 1 where nobody knows the progress."""
        if progress is None:
            return 1.0
        return 0.0 if progress < self.burn_in else sigmoid_ramp(progress - self.burn_in, self.ramp)

    @torch.no_grad()
    def _selected(
        self, others: Callable[[], Tensor], students: Tensor, batch: Batch, progress: float | None
    ) -> Tensor | None:
        if self.select is None:
            return None
        own = log_posterior(students.detach(), batch.task)
        selected = self.select(others().log().expand_as(own), own, batch, progress)
        counted = torch.ones_like(selected) if batch.mask is None else (batch.mask != 0).expand_as(selected)
        counted_per_peer = counted.flatten(1).sum(1).clamp(min=1)
        self.kept = (selected & counted).flatten(1).sum(1) / counted_per_peer
        return selected


def _built(module: str, which: Any, kind: type) -> Any:
    """A target or a selection from its spec, in which ``;`` may stand for a comma, or itself."""
    if isinstance(which, kind):
        return which
    if not isinstance(which, str):
        raise WrongKind(f"{which!r} is no {kind.__name__.lower()}: give its name")
    built = discovery.construct(module, Spec.parse(which.replace(";", ",")))
    if not isinstance(built, kind):
        raise WrongKind(f"'{which}' is {built!r}, not a {kind.__name__}")
    return built


__all__ = ["Imitation"]
