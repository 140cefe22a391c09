"""Losses by their contract: per sample between posteriors, per edge between features, and with labels."""
