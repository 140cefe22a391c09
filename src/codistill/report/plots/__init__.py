"""Figures of a study or an analysis, built from its data. Each is None where the data for it is lacking."""

from codistill.report.plots.cost import cost_figure
from codistill.report.plots.gain import gain_figure
from codistill.report.plots.size import cohort_size_figure
from codistill.report.plots.terms import learning_figure, ratio_figure

__all__ = ["cohort_size_figure", "cost_figure", "gain_figure", "learning_figure", "ratio_figure"]
