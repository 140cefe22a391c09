"""What is trained on which examples with which settings: printed before the first step, and first in a report."""

from collections.abc import Mapping
from typing import Any

from codistill.training.sizes import Sizes


def opening(settings: Mapping[str, Any], sizes: Sizes) -> list[str]:
    """Two sentences: the data with the size of each part, and the training.

    Args:
        settings: of a run, as JSON has them; a list of rates or decays where runs that are trained as one have several.
        sizes: of its data and its training.
    """
    return [_data(settings, sizes), _training(settings, sizes)]


def _data(settings: Mapping[str, Any], sizes: Sizes) -> str:
    root = settings.get("data_root")
    name = f"{settings['data']} ({root})" if root else str(settings["data"])
    left = sizes.rest
    parts = [f"{sizes.train:,} training examples with their labels"]
    if settings.get("shards", "none") != "none":
        parts[0] += f" dealt out to the peers (shards={settings['shards']})"
    if left and settings.get("unlabelled"):
        parts.append(f"{left:,} without")
    elif left:
        parts.append(f"{left:,} not used (labels={settings.get('labels')})")
    if sizes.valid:
        every = settings.get("evaluate_every")
        often = "every epoch" if every == 1 else f"every {every} epochs"
        when = f"looked at {often}" if every else "looked at after the last epoch"
        parts.append(f"{sizes.valid:,} for validation ({when})")
    return f"Data {name}, {sizes.classes} classes: {', '.join(parts)}; {sizes.test:,} to test on."


def _training(settings: Mapping[str, Any], sizes: Sizes) -> str:
    batch = f"batch {settings['batch']}"
    if settings.get("unlabelled"):
        batch += f" and {settings['unlabelled']} unlabelled"
    epochs = f"{sizes.steps_per_epoch:,} steps per epoch, {settings['epochs']} epochs"
    rate = f"learning rate {_number(settings['learning_rate'])}, weight decay {_number(settings['weight_decay'])}"
    return f"Training: {sizes.steps:,} steps ({epochs}), {batch}, {settings['optimizer']}, {rate}."


def _number(value: float | list[float]) -> str:
    """A number, or from where to where several reach."""
    return f"{min(value):g} to {max(value):g}" if isinstance(value, list) else f"{value:g}"


__all__ = ["opening"]
