"""Losses between features: a value per edge, one loss to a file; the folder is the list."""
