"""Losses, one to a file, sorted by their contract.

divergences/  D(source, student) between posteriors: a value per sample, ``[P, B]``
features/     L(student, source) between features, or any other outputs of a batch: a value per edge, ``[E]``
labels/       what knows the labels: a mean per peer, ``[P]``; `dkd` a value per sample of each edge, ``[E, B]``
"""
