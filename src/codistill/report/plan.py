"""What a comparison would train, before it is run."""

from codistill.report.numbers import count, times
from codistill.study.costs import declared_cost, networks_trained
from codistill.study.entries import Study


def plan(study: Study) -> list[str]:
    """Its rows, seeds and networks, its steps where they are set, and what all of it costs, as lines."""
    seeds, again = len(study.seeds), study.retrainings
    often = seeds if study.retrained is None else min(study.retrained, seeds)
    trained = f"{count(seeds, 'seed')} ({' '.join(map(str, study.seeds))})"
    which = "each" if often == seeds else f"the first {often} of them"
    trained += f", {which} trained {again} times" if again > 1 else ""
    costs = [declared_cost(entry.run) for entry in study.entries]
    one = declared_cost(study.entries[0].run) / study.entries[0].run.peers
    total = sum(costs) / one * len(study.trainings)
    base = study.base
    length = f"{base.steps} steps" if base.steps else f"{base.epochs} epochs (--dry-run counts their steps)"
    return [
        f"Comparison {study.recipe}: {count(len(study.entries), 'row')}, {trained}, "
        f"{count(networks_trained(study), 'network')} in all, {length}.",
        *(
            f"  {entry.label}: {count(entry.run.peers, 'network')}, {times(cost / one)} times one network alone"
            for entry, cost in zip(study.entries, costs, strict=True)
        ),
        f"In all it costs about as much as training {times(total)} networks alone, by the passes of each method.",
    ]


__all__ = ["plan"]
