"""Trained networks in use: opened from a run's folder, predicting, exported. Nothing here needs the training code."""

from codistill.deployment.opening import load as load
from codistill.deployment.trained import Trained as Trained
