"""Terms of the loss over the epochs."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from codistill.analysis.curves import epoch_lines
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
    terms = sorted(by_term, key=lambda term: list(_TERMS).index(term) if term in _TERMS else len(_TERMS))[:_MOST_TERMS]
    figure = _figure([by_term[term] for term in terms], summary)
    if figure is not None:
        for number, term in enumerate(terms, start=1):
            title = _TERMS.get(term, f"{escaped(term)} loss")
            figure.update_yaxes(title_text=title, rangemode="tozero", row=number, col=1)
    return figure


def ratio_figure(log: Iterable[Line], summary: Summary | None = None) -> go.Figure | None:
    """All imitation terms together beside the task term, in percent by epoch, one line per method."""
    by_method: dict[str, Values] = defaultdict(lambda: defaultdict(list))
    for line in epoch_lines(log):
        if percents := [100 * v for v in ratios(line) if known(v)]:
            by_method[line.method][line.epoch] += percents
    figure = _figure([by_method] if by_method else [], summary, positive=True)
    return None if figure is None else figure.update_yaxes(title_text="Imitation / task, %", type="log")


def _figure(
    rows: Sequence[Mapping[str, Values]], summary: Summary | None, *, positive: bool = False
) -> go.Figure | None:
    """Values of each method by epoch, one subplot below the other; None without any.

    With ``positive``, a band ends at a method's least value above zero: for a logarithmic axis.
    """
    if not rows:
        return None
    legends = _legends(dict.fromkeys(method for by_method in rows for method in by_method), summary)
    figure = make_subplots(rows=len(rows), cols=1, shared_xaxes=True, vertical_spacing=0.14 / len(rows))
    named: set[str] = set()
    for number, by_method in enumerate(rows, start=1):
        for method, legend in legends.items():
            if values := by_method.get(method):
                columns = [values[epoch] for epoch in sorted(values)]
                least = min((v for column in columns for v in column if v > 0), default=1.0) if positive else -math.inf
                curve = spreading(sorted(values), columns, least)
                draw(figure, curve, legend, row=number, first=method not in named, at="epoch ")
                named.add(method)
    dress(figure, 60 + 240 * len(rows) + legend_height([*legends]), len(legends))
    figure.update_xaxes(**epoch_ticks(epoch for by in rows for values in by.values() for epoch in values))
    return figure.update_xaxes(title_text="Epoch", row=len(rows), col=1)


def _legends(methods: Iterable[str], summary: Summary | None) -> dict[str, Legend]:
    """Of each method, in a summary's order where there is one."""
    rows = {row.method: row for row in summary.rows} if summary else {}
    names = {method: name_of(row) for method, row in rows.items()}
    given = list(methods)
    order = [method for method in rows if method in given] + [method for method in given if method not in rows]
    style = styles([*rows, *order], summary.baseline if summary else None)
    return {method: Legend(method, names.get(method, escaped(method)), style[method]) for method in order}


def _by_term(log: Iterable[Line]) -> Mapping[str, Mapping[str, Values]]:
    """Term -> method -> epoch -> values over networks and seeds; what is no number is left out."""
    by_term: dict[str, dict[str, Values]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for line in epoch_lines(log):
        for term, values in line.terms.items():
            if numbers := [float(v) for v in values if known(v)]:
                by_term[term][line.method][line.epoch] += numbers
    return by_term
