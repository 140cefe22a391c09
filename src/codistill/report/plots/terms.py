"""Terms of the loss over the epochs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from codistill.analysis.curves import epoch_lines
from codistill.analysis.peers import ratios
from codistill.methods.parts.terms import loss_name
from codistill.report.palette import styles
from codistill.report.plots.curves import Legend, Panel, Values, by_method, figure_of, spreading
from codistill.report.plots.drawing import Plot
from codistill.report.plots.layout import name_of
from codistill.study.summary import Summary

_FIRST = ("task", "mimic")
_MOST_TERMS = 6

Line = Mapping[str, Any]  # of log.jsonl


def learning_figure(log: Iterable[Line], summary: Summary | None = None) -> Plot | None:
    """Each term by epoch, one line per method: mean over networks and seeds, with a band of one sd."""
    lines = epoch_lines(log)
    panels = []
    for term in dict.fromkeys([*_FIRST, *(term for line in lines for term in line.terms)]):
        values = by_method((line.method, line.epoch, v) for line in lines for v in line.terms.get(term, ()))
        curves = {method: spreading(each) for method, each in values.items()}
        title = loss_name(term).capitalize() + (", nats" if term == "task" else "")  # others are not always in nats
        panels += [Panel(title, curves)] if curves else []
    return _figure(panels[:_MOST_TERMS], summary, "Training losses by epoch, one line for each row", zero=True)


def validation_figure(log: Iterable[Line], summary: Summary | None = None) -> Plot | None:
    """Accuracy on validation data by epoch, where it was measured: mean over networks and seeds, a band of one sd."""
    measured = [line for line in log if line.get("kind") == "epoch" and line.get("valid_accuracy")]
    values = by_method(
        (str(line.get("method") or line["run"]), line["epoch"], 100 * v)
        for line in measured
        for v in line["valid_accuracy"]
    )
    curves = {method: spreading(each) for method, each in values.items()}
    says = "Accuracy on validation data by epoch, one line for each row"
    return _figure([Panel("Validation accuracy, %", curves)], summary, says)


def ratio_figure(log: Iterable[Line], summary: Summary | None = None) -> Plot | None:
    """All imitation terms together beside the task term, in percent by epoch, one line per method."""
    values = by_method((line.method, line.epoch, 100 * v) for line in epoch_lines(log) for v in ratios(line) if v > 0)
    curves = {method: spreading(each, _least(each)) for method, each in values.items()}
    says = "The imitation loss in percent of the task loss by epoch, one line for each row"
    return _figure([Panel("Imitation / task, %", curves)], summary, says, log="y")


def _least(values: Values) -> float:
    """The least value above zero, where a band on a logarithmic axis ends."""
    return min((v for each in values.values() for v in each if v > 0), default=1.0)


def _figure(
    panels: Sequence[Panel], summary: Summary | None, says: str, log: str = "", zero: bool = False
) -> Plot | None:
    """One panel below the other, methods in a summary's order where there is one."""
    names = {row.method: name_of(row) for row in summary.rows} if summary else {}
    methods = dict.fromkeys([*names, *(method for panel in panels for method in panel.curves)])
    style = styles(methods, summary.baseline if summary else None)
    legends = {method: Legend(names.get(method, method), style[method]) for method in methods}
    return figure_of(panels, legends, says, x_title="Epoch", log=log, zero=zero)
