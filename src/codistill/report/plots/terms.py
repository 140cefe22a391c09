"""Terms of the loss over the epochs."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from codistill.analysis.curves import epoch_lines
from codistill.analysis.peers import ratios
from codistill.report.palette import styles
from codistill.report.plots.curves import Legend, Panel, Values, by_method, figure_of, spreading
from codistill.report.plots.layout import escaped, name_of
from codistill.study.summary import Summary

_TERMS = {"task": "Task loss, nats", "mimic": "Imitation loss"}  # not of every method in nats
_MOST_TERMS = 6

Line = Mapping[str, Any]  # of log.jsonl


def learning_figure(log: Iterable[Line], summary: Summary | None = None) -> go.Figure | None:
    """Each term by epoch, one line per method: mean over networks and seeds, with a band of one sd."""
    lines = epoch_lines(log)
    panels = []
    for term in dict.fromkeys([*_TERMS, *(term for line in lines for term in line.terms)]):
        values = by_method((line.method, line.epoch, v) for line in lines for v in line.terms.get(term, ()))
        curves = {method: spreading(each) for method, each in values.items()}
        panels += [Panel(_TERMS.get(term, f"{escaped(term)} loss"), curves)] if curves else []
    figure = _figure(panels[:_MOST_TERMS], summary)
    return None if figure is None else figure.update_yaxes(rangemode="tozero")


def ratio_figure(log: Iterable[Line], summary: Summary | None = None) -> go.Figure | None:
    """All imitation terms together beside the task term, in percent by epoch, one line per method."""
    values = by_method((line.method, line.epoch, 100 * v) for line in epoch_lines(log) for v in ratios(line))
    curves = {method: spreading(each, _least(each)) for method, each in values.items()}
    figure = _figure([Panel("Imitation / task, %", curves)], summary)
    return None if figure is None else figure.update_yaxes(type="log")


def _least(values: Values) -> float:
    """The least value above zero, where a band on a logarithmic axis ends."""
    return min((v for each in values.values() for v in each if v > 0), default=1.0)


def _figure(panels: Sequence[Panel], summary: Summary | None) -> go.Figure | None:
    """One panel below the other, methods in a summary's order where there is one."""
    names = {row.method: name_of(row) for row in summary.rows} if summary else {}
    methods = dict.fromkeys([*names, *(method for panel in panels for method in panel.curves)])
    style = styles(methods, summary.baseline if summary else None)
    legends = {method: Legend(names.get(method, escaped(method)), style[method]) for method in methods}
    figure = figure_of(panels, legends, 60 + 240 * len(panels), stacked=True, at="epoch ")
    if figure is None:
        return None
    last = max(point.x for panel in panels for curve in panel.curves.values() for point in curve)
    figure.update_xaxes(tick0=0, dtick=max(1, math.ceil(last / 10)))  # whole numbers, about ten of them
    return figure.update_xaxes(title_text="Epoch", row=len(panels), col=1)
