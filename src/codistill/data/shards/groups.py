"""A group of the data for each peer."""

from torch import Tensor

from codistill.data.shards import Deal, Labels
from codistill.data.skipping import shortened
from codistill.spec import UnknownName, Value


def groups(names: Value = None) -> Deal:
    """Each peer has the examples of one group, such as a clinic: those that the data set names, in their order.

    Args:
        names: The group of each peer, separated by /: north/south; None: all groups, which are as many as peers.
    """
    what = "shards='groups'" if names is None else f"shards='groups:{names}'"

    def dealt(labels: Labels, peers: int, seed: int) -> list[Tensor]:
        if labels.group is None:
            raise ValueError(
                f"{what}: the data name no groups: set the option group of the data set, e.g. table:group=clinic"
            )
        chosen = labels.groups if names is None else tuple(str(names).split("/"))
        for name in chosen:
            if name not in labels.groups:
                raise UnknownName("group of the data", name, labels.groups)
        if len(set(chosen)) != len(chosen):
            raise ValueError(f"{what} names a group twice: give each peer a group of its own")
        if len(chosen) != peers:
            raise ValueError(
                f"{what}: {len(chosen)} groups ({shortened(chosen)}) for {peers} peers: set peers to {len(chosen)}, or "
                "name one for each (groups:A/B)"
            )
        return [(labels.group == labels.groups.index(name)).nonzero().flatten() for name in chosen]

    return dealt


__all__ = ["groups"]
