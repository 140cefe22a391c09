"""Some classes for each peer."""

from torch import Tensor

from codistill.checks import whole
from codistill.data.shards import Deal, Labels, deal_classes


def classes(per: int) -> Deal:
    """Some classes in a row for each peer; all classes have about as many owners, which share their examples evenly.

    Of C classes and P peers, peer p begins with class floor(p C / P) and goes round, so that every class has P per / C
    owners, rounded down or up.

    Args:
        per: Classes of each peer; at least C / P, so that every class has an owner.
    """
    whole("shards: per", per)

    def dealt(labels: Labels, peers: int, seed: int) -> list[Tensor]:
        count = len(labels.classes)
        if per > count > 0:
            raise ValueError(f"shards='classes:per={per}': there are {count} classes: lower it")
        rows = [[(peer * count // peers + i) % count for i in range(per)] if count else [] for peer in range(peers)]
        return deal_classes(f"shards='classes:per={per}'", labels, rows, f"set per to {-(-count // peers)} or more")

    return dealt


__all__ = ["classes"]
