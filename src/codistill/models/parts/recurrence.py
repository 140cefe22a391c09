"""Words of sentences of different lengths, and recurrent layers that read them in both directions.

Between modules they are a `PackedSequence`: the vectors of all first words, then of all second words, ..., longest
sentence first, padding left out. In a program that `torch.export` traces, which cannot hold sizes that depend on the
words, they are `Padded`.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

State = tuple[Tensor, ...]  # [rows, H] each: (h,) of a GRU, (h, c) of an LSTM
PADDING = 0


class Padded(NamedTuple):
    """Words of sentences as a program of fixed length has them, padding left in.

    Attributes:
        data: the vectors ``[B, T, D]``; what stands at padding is read by nobody.
        lengths: of the sentences, ``[B]``, at least 1.
    """

    data: Tensor
    lengths: Tensor

    def backwards(self) -> "Padded":
        """Each sentence from its last word to its first, its padding where it was; twice is the same again."""
        steps, ends = torch.arange(self.data.shape[1], device=self.data.device), self.lengths[:, None]
        order = torch.where(steps < ends, ends - 1 - steps, steps)
        return Padded(self.data.gather(1, order[:, :, None].expand(-1, -1, self.data.shape[2])), self.lengths)


Sentences = PackedSequence | Padded


class Words(nn.Module):
    """Token ids ``[B, T]``, padded at the end -> their vectors, packed; a row of padding alone is one padding token."""

    def __init__(self, embedding: nn.Embedding, dropout: nn.Module) -> None:
        super().__init__()
        self.embedding, self.dropout = embedding, dropout

    def forward(self, ids: Tensor) -> Sentences:
        if torch.compiler.is_exporting():
            return Padded(self.dropout(self.embedding(ids)), (ids != PADDING).sum(1).clamp(min=1))
        lengths = (ids != PADDING).sum(1).clamp(min=1).tolist()  # on the host, where packing needs them
        packed = pack_padded_sequence(ids, lengths, batch_first=True, enforce_sorted=False)
        return PackedSequence(self.dropout(self.embedding(packed.data)), *packed[1:])


class Layer(nn.Module):
    """One recurrent layer in both directions: packed ``[words, D]`` -> packed ``[words, 2H]``, forward then backward.

    On a GPU this is torch's own. On the CPU, and in a stack of peers, it is written out: the same numbers to
    rounding, faster there (torch goes back through every step of a packed sequence by way of a tensor as large as all
    steps), and vmap has no rule for torch's. A program has torch's too, once for each direction.
    """

    def __init__(self, rnn: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self.rnn = rnn

    def forward(self, words: Sentences) -> Sentences:
        if isinstance(words, Padded):
            there, back = self._run(words), self._run(words.backwards(), "_reverse").backwards()
            return Padded(torch.cat([there.data, back.data], dim=2), words.lengths)
        if words.data.is_cuda:
            out: PackedSequence = self.rnn(words)[0]
            return out
        sizes = words.batch_sizes.tolist()
        states = [self._read(words.data, sizes, reverse) for reverse in (False, True)]
        return PackedSequence(torch.cat(states, dim=1), *words[1:])

    def _run(self, words: Padded, end: str = "") -> Padded:
        """The states of one direction, whose first word stands first: padding comes after all that is read."""
        rnn, x = self.rnn, words.data
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        weights = [getattr(rnn, name + end) for name in names]
        start = x.new_zeros(1, x.shape[0], rnn.hidden_size)
        how: Any = (weights, True, 1, 0.0, False, False, True)  # biases, layers, dropout, train, both ways, batch first
        out = torch.lstm(x, (start, start), *how) if isinstance(rnn, nn.LSTM) else torch.gru(x, start, *how)
        return Padded(out[0], words.lengths)

    def _read(self, x: Tensor, sizes: list[int], reverse: bool) -> Tensor:
        end = "_l0_reverse" if reverse else "_l0"
        w_x, w_h, b_x, b_h = (
            getattr(self.rnn, name + end) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        if isinstance(self.rnn, nn.LSTM):
            return read(partial(lstm, w_h.t()), 2, F.linear(x, w_x, b_x + b_h), sizes, self.rnn.hidden_size, reverse)
        return read(partial(gru, w_h.t(), b_h), 1, F.linear(x, w_x, b_x), sizes, self.rnn.hidden_size, reverse)


class Dropout(nn.Dropout):
    """Of a packed sequence's vectors."""

    def forward(self, words: Sentences) -> Sentences:  # type: ignore[override]
        if isinstance(words, Padded):
            return Padded(super().forward(words.data), words.lengths)
        return PackedSequence(super().forward(words.data), *words[1:])


class LastStates(nn.Module):
    """What each direction read last: packed ``[words, 2H]`` -> ``[B, 2H]``, sentences in the order they came in."""

    def forward(self, words: Sentences) -> Tensor:
        if isinstance(words, Padded):
            forward, backward = words.data.chunk(2, dim=2)
            last = (words.lengths - 1)[:, None, None].expand(-1, 1, forward.shape[2])
            return torch.cat([forward.gather(1, last)[:, 0], backward[:, 0]], dim=1)
        sizes = words.batch_sizes
        rows = torch.arange(int(sizes[0]))
        lengths = (sizes[:, None] > rows).sum(0)
        last = ((sizes.cumsum(0) - sizes)[lengths - 1] + rows).to(words.data.device, non_blocking=True)
        forward, backward = words.data.chunk(2, dim=1)
        states = torch.cat([forward[last], backward[: len(rows)]], dim=1)
        return states if words.unsorted_indices is None else states[words.unsorted_indices]


def read(
    cell: Callable[..., State], states: int, x: Tensor, sizes: Sequence[int], hidden: int, reverse: bool
) -> Tensor:
    """The hidden state after every word, ``[words, hidden]``, of a cell that starts each sentence from zeros.

    Args:
        cell: ``(x_t, *state) -> state``, the hidden state first.
        states: number of tensors in a state.
        x: packed, what each word adds to the gates ``[words, gates]``.
        sizes: number of sentences that have a first word, a second word, ...
        hidden: size of the state.
        reverse: from each sentence's last word to its first.
    """
    parts = torch.split(x, list(sizes))
    steps = range(len(sizes))
    out = list(parts)
    state: State = (x.new_zeros(0, hidden),) * states
    for t in reversed(steps) if reverse else steps:
        state = cell(parts[t], *(_rows(tensor, sizes[t]) for tensor in state))
        out[t] = state[0]
    return torch.cat(out)


def _rows(state: Tensor, count: int) -> Tensor:
    """Without the sentences that have ended, or with zeros for those that begin."""
    more = count - len(state)
    return F.pad(state, (0, 0, 0, more)) if more > 0 else state[:count] if more else state


def lstm(across: Tensor, x: Tensor, h: Tensor, c: Tensor) -> State:
    """i, f, o = sigmoid(gates), g = tanh(gates); c = f * c + i * g; h = o * tanh(c), with gates = x + h across."""
    i, f, g, o = torch.addmm(x, h, across).chunk(4, dim=1)
    c = torch.addcmul(f.sigmoid() * c, i.sigmoid(), g.tanh())
    return o.sigmoid() * c.tanh(), c


def gru(across: Tensor, bias: Tensor, x: Tensor, h: Tensor) -> State:
    """r, z = sigmoid(x + a), n = tanh(x + r * a); h = (1 - z) * n + z * h, with a = h across + bias, by gate."""
    x_r, x_z, x_n = x.chunk(3, dim=1)
    a_r, a_z, a_n = torch.addmm(bias, h, across).chunk(3, dim=1)
    n = torch.addcmul(x_n, (x_r + a_r).sigmoid(), a_n).tanh()
    return (torch.lerp(n, h, (x_z + a_z).sigmoid()),)
