"""Silos that learn from each other's predictions, as a Flower app."""
