"""Sharpness: how far one step uphill raises the loss."""

from torch import nn

from codistill.analysis.loss import Batches, gradient, loss_and_accuracy, losses_at
from codistill.analysis.weights import filter_norms, norm, weights


def sharpness(
    net: nn.Module, batches: Batches, *, rho: float = 0.05, relative: bool = False, task: str = "classes"
) -> float:
    """L(w + e) - L(w) after one ascent step of length rho, an estimate of its maximum over ||e|| <= rho; in nats.

    e = rho g / ||g||, g the gradient over all batches in eval mode (Foret et al. 2021, arXiv:2010.01412). Relative:
    e = rho T^2 g / ||T g|| with T the norm of each filter, of length rho in units of the filters' norms (Kwon et al.
    2021, arXiv:2102.11600). The absolute one cannot be compared between networks of different weight norms.

    Raises:
        ValueError: rho is not above 0; no parameter learns; no label.
    """
    if not rho > 0:
        raise ValueError(f"rho={rho}: give a length above 0, such as 0.05")
    g = gradient(net, batches, task)
    units = filter_norms(weights(net, learning=True)) if relative else {}
    scaled = {name: units[name] * each for name, each in g.items()} if relative else g
    step = {name: units[name] * each for name, each in scaled.items()} if relative else g
    length = norm(scaled)
    if length == 0.0:
        return 0.0
    before, _ = loss_and_accuracy(net, batches, task)
    uphill = {name: each * (rho / length) for name, each in step.items()}
    return losses_at(net, batches, [uphill], task)[0][0] - before
