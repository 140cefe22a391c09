"""A cohort inside torch's `DistributedDataParallel`: who is asked for its outputs, so that gradients are averaged."""

from typing import Any

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from codistill.cohort import Cohort, Outputs, Peers, View
from codistill.spec import WrongKind


class Parallel(View):
    """All peers of a cohort that `DistributedDataParallel` wraps.

    Passes go through the wrapper, which arms the hooks that average gradients over processes; all else is the cohort's.
    """

    def __init__(self, wrapper: DistributedDataParallel) -> None:
        super().__init__(wrapper.module, wrapper.module.peers)
        self._wrapper = wrapper

    def __call__(self, x: Any) -> Outputs:
        outputs: Outputs = self._wrapper(x)
        return outputs


def peers_of(given: object, method: nn.Module) -> Peers:
    """What a method speaks to: a cohort or a view of one as it is, a wrapped cohort as `Parallel`.

    Raises:
        ValueError: the wrapper would not train all that learns, or splits the wrong axis.
        WrongKind: there is no cohort in it.
    """
    if isinstance(given, Cohort | View):
        return given
    kind, name = type(given).__name__, type(method).__name__
    if not isinstance(getattr(given, "module", None), Cohort):
        raise WrongKind(f"{name} was called with a {kind}: give it a cohort, Cohort([net_a, net_b])")
    if isinstance(given, DataParallel):
        raise ValueError(
            "DataParallel joins outputs along their first axis, which is that of the peers: use "
            "DistributedDataParallel(cohort), started by torchrun"
        )
    if not isinstance(given, DistributedDataParallel):
        raise ValueError(
            f"{kind}(cohort): put cohort and method into one module whose forward returns the method's terms, and "
            f"wrap that: {kind}(module)"
        )
    if any(parameter.requires_grad for parameter in method.parameters()):
        raise ValueError(
            f"{name} has parameters of its own, which {kind}(cohort) leaves apart in every process: put cohort and "
            f"method into one module whose forward returns the method's terms, and wrap that: {kind}(module)"
        )
    return Parallel(given)
