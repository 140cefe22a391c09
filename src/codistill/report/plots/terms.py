"""Terms of the loss over the epochs."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from codistill.analysis.curves import EpochLine
from codistill.analysis.peers import ratios
from codistill.report.numbers import known
from codistill.report.palette import styles
from codistill.report.plots.curves import Legend, draw, spreading
from codistill.report.plots.layout import dress, epoch_ticks, escaped, legend_height, name_of
from codistill.study.summary import Summary

_TERMS = {"task": "Task loss, nats", "mimic": "Imitation loss"}  # not of every method in nats
_MOST_TERMS = 6

Line = Mapping[str, Any]  # of log.jsonl
Values = dict[int, list[float]]  # over networks and seeds, by epoch


def learning_figure(log: Iterable[Line], summary: Summary | None = None) -> go.Figure | None:
    """Each term by epoch, one line per method: mean over networks and seeds, with a band of one sd."""
    by_term = _by_term(log)
    if not by_term:
        return None
    legends = _legends(dict.fromkeys(method for by in by_term.values() for method in by), summary)
    terms = sorted(by_term, key=lambda term: list(_TERMS).index(term) if term in _TERMS else len(_TERMS))[:_MOST_TERMS]
    figure = make_subplots(rows=len(terms), cols=1, shared_xaxes=True, vertical_spacing=0.14 / len(terms))
    named: set[str] = set()
    for number, term in enumerate(terms, start=1):
        for method, legend in legends.items():
            if values := by_term[term].get(method):
                curve = spreading(sorted(values), [values[epoch] for epoch in sorted(values)])
                draw(figure, curve, legend, row=number, first=method not in named, at="epoch ")
                named.add(method)
        title = _TERMS.get(term, f"{escaped(term)} loss")
        figure.update_yaxes(title_text=title, rangemode="tozero", row=number, col=1)
    dress(figure, 60 + 240 * len(terms) + legend_height([*legends]), len(legends))
    figure.update_xaxes(**epoch_ticks(epoch for by in by_term.values() for values in by.values() for epoch in values))
    return figure.update_xaxes(title_text="Epoch", row=len(terms), col=1)


def ratio_figure(log: Iterable[Line], summary: Summary | None = None) -> go.Figure | None:
    """All imitation terms together beside the task term, in percent by epoch, one line per method."""
    by_method: dict[str, Values] = defaultdict(lambda: defaultdict(list))
    for line in _epochs(log):
        if percents := [100 * v for v in ratios(EpochLine.from_json(line)) if known(v)]:
            by_method[_method(line)][int(line["epoch"])] += percents
    if not by_method:
        return None
    legends = _legends(by_method, summary)
    figure = make_subplots(rows=1, cols=1)
    for method, values in by_method.items():
        least = min((v for column in values.values() for v in column if v > 0), default=1.0)
        draw(
            figure, spreading(sorted(values), [values[e] for e in sorted(values)], least), legends[method], at="epoch "
        )
    dress(figure, 300 + legend_height([*by_method]), len(by_method))
    figure.update_yaxes(title_text="Imitation / task, %", type="log")
    return figure.update_xaxes(
        title_text="Epoch", **epoch_ticks(epoch for values in by_method.values() for epoch in values)
    )


def _legends(methods: Iterable[str], summary: Summary | None) -> dict[str, Legend]:
    """Of each method, in a summary's order where there is one."""
    rows = {row.method: row for row in summary.rows} if summary else {}
    names = {**{method: name_of(row) for method, row in rows.items()}}
    given = list(methods)
    order = [method for method in rows if method in given] + [method for method in given if method not in rows]
    style = styles([*rows, *order], summary.baseline if summary else None)
    return {method: Legend(method, names.get(method, escaped(method)), style[method]) for method in order}


def _by_term(log: Iterable[Line]) -> Mapping[str, Mapping[str, Values]]:
    """Term -> method -> epoch -> values over networks and seeds; what is no number is left out."""
    by_term: dict[str, dict[str, Values]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for line in _epochs(log):
        for term, values in line["terms"].items():
            values = values if isinstance(values, list) else [values]
            if numbers := [float(v) for v in values if known(v)]:
                by_term[term][_method(line)][int(line["epoch"])] += numbers
    return by_term


def _epochs(log: Iterable[Line]) -> Iterable[Line]:
    return (line for line in log if line.get("kind") == "epoch")


def _method(line: Line) -> str:
    return str(line.get("method") or line.get("run"))
