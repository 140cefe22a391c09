"""Figures of a study, a log or an analysis, built from its data. Each is None where the data for it is lacking."""
