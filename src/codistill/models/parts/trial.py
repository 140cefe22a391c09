"""Networks tried on a few examples, and where their errors come from."""

import traceback
from pathlib import Path

import torch
from torch import Tensor, nn

from codistill.libraries import said_by
from codistill.models.parts.mode import evaluating

LIBRARY = (Path(torch.__file__).parent, Path(__file__).parents[2])  # not where to look for a bug


def try_out(what: str, net: nn.Module, x: Tensor, *, autocast: bool = False) -> None:
    """Run a network once, in eval mode and without gradients; each of its modules is left in the mode it was in.

    Args:
        what: which network, for messages.
        net: on the device and in the precision of the inputs.
        x: a few inputs.
        autocast: in bfloat16, as far as torch's autocast goes.

    Raises:
        ValueError: whatever the network raises, in one line, with the file and the line where it was raised.
    """
    bfloat16 = torch.autocast(x.device.type, dtype=torch.bfloat16, enabled=autocast)
    try:
        with evaluating(net), torch.no_grad(), bfloat16:
            net(x)
    except torch.OutOfMemoryError:  # no fault of the network's
        raise
    except Exception as error:
        raise ValueError(f"{what} fails on inputs {list(x.shape)}: {said_by(error)}{place_of(error)}") from error


def place_of(error: BaseException) -> str:
    """Where an error was raised, as the end of a message: the last line of code that is neither torch's nor ours."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not any(Path(frame.filename).is_relative_to(folder) for folder in LIBRARY)]
    return f", in {Path(own[-1].filename).name}, line {own[-1].lineno}" if own else ""
