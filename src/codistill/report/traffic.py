"""What crosses between peers, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from codistill.report.numbers import count, listed
from codistill.study.summary import Summary
from codistill.training.traffic import BYTES, Traffic

UNITS = ("bytes", "kB", "MB", "GB", "TB")


def traffic_notes(summary: Summary) -> list[str]:
    """A footnote for each kind of exchange; rows that send the same stand together."""
    groups: dict[Traffic, list[str]] = {}
    for row in summary.traffic:
        groups.setdefault(row.traffic, []).append(row.label)
    return [f"Communication in {listed(labels)}: {_said(traffic)}" for traffic, labels in groups.items()]


def rounds_notes(log: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence on what has crossed between a silo and the others, of the lines of its log; none of other logs."""
    of_rounds = {line["until"]: line for line in log if line["kind"] == "exchange" and "received" in line}
    if not of_rounds:
        return []
    sent, received = (size(sum(line[name] for line in of_rounds.values())) for name in ("sent", "received"))
    return [
        f"What crossed in {count(len(of_rounds), 'round')}: this silo sent {sent} of predictions for samples without a "
        f"label and received {received}; no weights, and none of its own samples."
    ]


def _said(traffic: Traffic) -> str:
    once, steps = BYTES * traffic.parameters, traffic.steps
    others = (
        f"Averaging weights would send {size(once)} per round; averaging gradients as much in every step, "
        f"{size(once * steps)} in all."
    )
    if traffic.numbers is None or traffic.total is None:
        return f"{traffic.what}, in each of {count(traffic.messages, 'step')}; their size was not counted. {others}"
    total = traffic.size * traffic.total
    when = "step" if traffic.messages > steps // 2 else "round"
    rounds = total / once if once else 0.0
    said = (
        f"each peer sends {_numbers(traffic)} ({size(traffic.size * traffic.numbers)}) per {when}, {size(total)} over "
        f"{count(traffic.messages, when)}; a message counts once, however many peers read it. "
    )
    if traffic.what == "weights":
        return f"{said}Averaging gradients would send {size(once * steps)}."
    return f"{said}{others} Everything that a peer sends amounts to {rounds:.3g} rounds of averaging weights."


def _numbers(traffic: Traffic) -> str:
    what = {"posteriors": "probabilities", "choices": "choices", "weights": "weights"}[traffic.what]
    return f"{traffic.numbers:,} {what}"


def size(number: float) -> str:
    """Bytes in the unit that fits: 4000 -> ``4.0 kB``."""
    unit = 0
    while number >= 999.5 and unit < len(UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.0f} {UNITS[unit]}" if unit == 0 or number >= 99.5 else f"{number:.1f} {UNITS[unit]}"


__all__ = ["rounds_notes", "size", "traffic_notes"]
