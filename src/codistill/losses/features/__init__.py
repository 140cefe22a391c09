"""Losses between features: a value per edge, mean over the samples; one loss to a file, the folder is the list.

L(students, sources) of ``[E, B, ...]`` each is ``[E]``. `dist` compares logits so, and takes a mask. `mmd` compares two
views of P peers.
"""
