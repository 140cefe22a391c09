"""Recurrent networks for text: the two of the sentiment study."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from codistill.checks import fraction, whole
from codistill.models.parts.recurrence import PADDING, Dropout, LastStates, Layer, Words

__all__ = ["bigru", "bilstm"]


def bigru(
    classes: int,
    shape: tuple[int, ...],
    hidden: int = 256,
    embedding: int = 160,
    dropout: float = 0.5,
    layers: int = 2,
    vocabulary: int | None = None,
    vectors: Tensor | None = None,
) -> nn.Module:
    """Two GRU layers that read token ids in both directions.

    Layout and options: see `recurrent`. Source: the NSMC scripts at
    github.com/BM-K/-Personal-study-Deep_Mutual_Learning.
    """
    words = _embedding("bigru", shape, vocabulary, embedding, vectors)
    return recurrent("bigru", nn.GRU, words, classes, hidden, layers, dropout)


def bilstm(
    classes: int,
    shape: tuple[int, ...],
    hidden: int = 64,
    embedding: int = 100,
    dropout: float = 0.5,
    layers: int = 2,
    vocabulary: int | None = None,
    vectors: Tensor | None = None,
) -> nn.Module:
    """Two LSTM layers that read token ids in both directions.

    Layout and options: see `recurrent`. Source: the IMDB scripts at
    github.com/BM-K/-Personal-study-Deep_Mutual_Learning.
    """
    words = _embedding("bilstm", shape, vocabulary, embedding, vectors)
    return recurrent("bilstm", nn.LSTM, words, classes, hidden, layers, dropout)


def recurrent(
    name: str, kind: type[nn.LSTM | nn.GRU], words: nn.Embedding, classes: int, hidden: int, layers: int, dropout: float
) -> nn.Module:
    """A recurrent network over token ids ``[B, T]``; 0 is padding, at the end, and changes nothing.

    words (the ids' vectors); stage1 .. stage<layers>, each in both directions; last (what the top layer's two
    directions read last, ``[B, 2 hidden]``); fc. Dropout after the vectors, between the layers and before fc. Input
    weights and fc start Xavier-uniform, recurrent weights orthogonal, biases at 0, vectors normal (that of padding is 0
    and stays). A tap of a stage gives the states of all words, packed: ``[words, 2 hidden]``. The data set gives
    ``vocabulary`` (of token ids) and, if it has any, ``vectors [vocabulary, embedding]``; rows of NaN start at random.

    Raises:
        ValueError: an invalid value of an option.
    """
    whole(f"{name}: hidden", hidden), whole(f"{name}: layers", layers)
    fraction(f"{name}: dropout", dropout)
    modules: dict[str, nn.Module] = {"words": Words(words, nn.Dropout(dropout))}
    for number, width in enumerate([words.embedding_dim] + [2 * hidden] * (layers - 1), start=1):
        if number > 1:
            modules[f"dropout{number - 1}"] = Dropout(dropout)
        modules[f"stage{number}"] = Layer(kind(width, hidden, bidirectional=True))
    end = OrderedDict(last=LastStates(), dropout=nn.Dropout(dropout), fc=nn.Linear(2 * hidden, classes))
    net = nn.Sequential(OrderedDict(**modules, **end))
    for setting, parameter in net.named_parameters():
        _start(setting, parameter)
    return net


def _start(name: str, parameter: Tensor) -> None:
    if "bias" in name:
        nn.init.zeros_(parameter)
    elif "weight_hh" in name:
        nn.init.orthogonal_(parameter)
    elif "weight_ih" in name or name == "fc.weight":
        nn.init.xavier_uniform_(parameter)


def _embedding(
    name: str, shape: tuple[int, ...], vocabulary: int | None, width: int, vectors: Tensor | None
) -> nn.Embedding:
    """The words' vectors; a ValueError for data that are no token ids, and for given vectors of another shape."""
    if len(shape) != 1 or vocabulary is None:
        raise ValueError(
            f"{name} reads token ids of shape (T,) with a known vocabulary, and got shape {shape}, vocabulary="
            f"{vocabulary}: use data of text, or a network for images (codistill list models)"
        )
    whole(f"{name}: embedding", width), whole(f"{name}: vocabulary", vocabulary)
    table = nn.Embedding(vocabulary, width, padding_idx=PADDING)
    if vectors is None:
        return table
    if not isinstance(vectors, Tensor):
        raise ValueError(f"{name}: vectors={vectors!r}: they come from the data; write vectors=none to leave them out")
    if tuple(vectors.shape) != (vocabulary, width):
        raise ValueError(
            f"{name}: embedding={width}, and the data's vectors are {list(vectors.shape)} for a vocabulary of "
            f"{vocabulary}: set embedding={vectors.shape[-1]}, or vectors=none"
        )
    with torch.no_grad():
        given = vectors.to(table.weight)
        known = ~given.isnan().any(dim=1, keepdim=True)
        known[PADDING] = False
        table.weight.copy_(torch.where(known, given, table.weight))
    return table
