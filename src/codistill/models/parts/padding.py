"""How a network is called: by position, by keyword, and with the padding mask that transformers expects."""

from typing import Any

from torch import Tensor, nn

PADDED = "padding"  # attribute of a network of `hf`, which makes its mask itself


def arguments(net: nn.Module, inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a network's forward: a mapping's are keywords, a tuple's positions, else there is one.

    Token ids ``[B, T]`` alone, given to a network of transformers as it was loaded, get the attention mask
    ``ids != net.config.pad_token_id``: without one, transformers would attend to the padding. A mask that is given
    stays, so where padding and another token share an id (GPT-2's end of text) give ids and mask as a dict.
    """
    if isinstance(inputs, dict):
        return (), inputs
    if isinstance(inputs, tuple):
        return inputs, {}
    padding = getattr(getattr(net, "config", None), "pad_token_id", None)
    takes_ids = getattr(net, "main_input_name", None) == "input_ids" and not hasattr(net, PADDED)
    if padding is None or not takes_ids or not isinstance(inputs, Tensor) or inputs.is_floating_point():
        return (inputs,), {}
    return (), {"input_ids": inputs, "attention_mask": (inputs != padding).long()}
