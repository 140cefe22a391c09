"""What a fleet's methods learn from, as in your own loop: tensors in place of the handles of a step's inputs."""

from dataclasses import replace

from codistill.batch import value_of
from codistill.training.batches import draw


def batches_of(fleet, epoch, step, stream=0):
    """Every member's batch."""
    return [
        replace(
            batch,
            x=value_of(batch.x),
            views=tuple(map(value_of, batch.views)),
            partner=value_of(batch.partner),
        )
        for batch in draw(fleet.streams, fleet.members, (epoch, step, stream))
    ]
