"""Losses with labels: a mean per peer, ``[P]``; `dkd` gives a value per sample of each edge, ``[E, B]``."""

from codistill.losses.labels.cross_entropy import confidence, cross_entropy, joint_loss, label_loss, label_losses

__all__ = ["confidence", "cross_entropy", "joint_loss", "label_loss", "label_losses"]
