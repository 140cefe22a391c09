"""Training: from runs to records, checkpoints and results."""
