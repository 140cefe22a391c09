"""How peers are executed: one network by itself, or like networks as one stack.

A group holds the parameters of its peers and runs them; which group a peer is in is nobody else's business.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.utils import _pytree as pytree

from codistill.batch import PerPeer
from codistill.cohort.chain import Chain
from codistill.cohort.taps import tapped
from codistill.models.parts.padding import arguments
from codistill.spec import WrongKind

Rows = Sequence[int]
Raw = tuple[Tensor, dict[str, Tensor]]


@lru_cache(maxsize=1024)
def on_device(numbers: tuple[int, ...], device: torch.device) -> Tensor:
    """Numbers as an index tensor; remembered, since bringing them to the device makes the host wait."""
    return torch.tensor(numbers, device=device, dtype=torch.int64)


def rows_of(tensor: Tensor, numbers: list[int]) -> Tensor:
    """Rows of a tensor: itself where these are all, a view where they follow each other."""
    every = list(range(len(tensor)))
    if numbers == every:
        return tensor
    span = slice(numbers[0], numbers[-1] + 1)
    return tensor[span] if numbers == every[span] else tensor[on_device(tuple(numbers), tensor.device)]


class CannotStack(NotImplementedError, ValueError):
    """Networks that run one by one, but not as a stack."""


class Leaf(NamedTuple):
    """A tensor that a group holds: of one peer, or of several with a leading peer dim.

    Attributes:
        of: the parameter, a DTensor, of which the tensor is this process's shard; None: it is the whole.
    """

    peers: tuple[int, ...]
    name: str
    tensor: Tensor
    stacked: bool
    of: Any = None

    @property
    def shape(self) -> torch.Size:
        """Of the whole."""
        return self.tensor.shape if self.of is None else torch.Size(self.of.shape)

    def gathered(self, value: Tensor) -> Tensor:
        """The whole of what each process has a shard of like this one, on the CPU; all of them take part."""
        if self.of is None:
            return value
        from torch.distributed.tensor import DTensor

        along, form = self.of.device_mesh, {"shape": self.of.shape, "stride": self.of.stride(), "run_check": False}
        return DTensor.from_local(value.detach(), along, self.of.placements, **form).full_tensor().cpu()

    def part(self, value: Tensor) -> Tensor:
        """This process's shard of a whole."""
        if self.of is None:
            return value
        along = self.of.device_mesh
        pieces, number = value.chunk(along.size()), along.get_local_rank()
        return pieces[number] if number < len(pieces) else value[:0]


def logits_of(output: Any, net: nn.Module) -> Tensor:
    """The logits in what a network returns: a tensor, an object with ``.logits``, or a dict with ``"logits"``.

    Raises:
        WrongKind: it is something else; says which network, and what to do.
    """
    logits = output.get("logits") if isinstance(output, dict) else getattr(output, "logits", output)
    if isinstance(logits, Tensor):
        return logits
    what = f"a {type(output).__name__}"
    if isinstance(output, dict):
        what += f" of {', '.join(map(repr, output)) or 'nothing'}"
    elif isinstance(output, tuple | list):
        what += f" of {len(output)}"
    raise WrongKind(
        f"{type(net).__name__} returned {what}: let its forward return the logits, an object with .logits, or a dict "
        'with "logits" (in a module around it: return self.net(x)[0])'
    )


def call(net: nn.Module, state: dict[str, Tensor] | None, inputs: Any, taps: Sequence[str], tie: bool = True) -> Raw:
    """One forward pass.

    Args:
        net: the network.
        state: tensors in the place of its own, by name.
        inputs: of one peer; `arguments` says how they are given.
        taps: features to return.
        tie: a tensor's other names take its place too; where ``state`` has them all, looking for them is a waste.
    """
    args, kwargs = arguments(net, inputs)
    with tapped(net, taps) as features:
        output = net(*args, **kwargs) if state is None else functional_call(net, state, args, kwargs, tie_weights=tie)
    return logits_of(output, net), features


class Group(nn.Module, ABC):
    """Peers that are executed at once.

    Attributes:
        peers: their numbers in the cohort.
        turn: when they are updated, where peers take turns.
    """

    def __init__(self, peers: Sequence[int], turn: int) -> None:
        super().__init__()
        self.peers, self.turn = tuple(peers), turn

    @abstractmethod
    def run(self, x: Any, rows: Rows, taps: Sequence[str], keep_buffers: bool) -> Raw:
        """Logits and features ``[len(rows), B, ...]`` of some of the peers.

        Args:
            x: inputs for all, or a `PerPeer` whose leading dim is that of ``rows``.
            rows: which peers, by their place in the group.
            taps: features to return.
            keep_buffers: leave batch statistics and other buffers as they are.
        """

    @abstractmethod
    def leaves(self) -> Iterator[Leaf]:
        """Parameters, then buffers."""

    def state(self, row: int) -> dict[str, Tensor]:
        """One peer's parameters and buffers by its own names."""
        return {leaf.name: leaf.tensor[row] if leaf.stacked else leaf.tensor for leaf in self.leaves()}

    def pieces(self, row: int) -> dict[str, Tensor]:
        """As `state`, of what is held in this process: of a sharded peer its shards."""
        return self.state(row)

    def load(self, row: int, state: Mapping[str, Tensor]) -> None:
        """Set one peer's parameters and buffers."""
        for name, tensor in self.state(row).items():
            tensor.copy_(state[name])

    def hand_out(self) -> None:
        """After a backward pass, give leaves that are shards their gradients."""

    @abstractmethod
    def network(self, row: int) -> nn.Module:
        """One peer as an ordinary module."""

    @abstractmethod
    def take(self, rows: Rows, peers: Sequence[int]) -> "Group":
        """A copy of some of the peers, with these numbers."""


class Single(Group):
    """One network, run as it is, or with its convolutions' weights and images in the channels-last memory format."""

    def __init__(self, net: nn.Module, peer: int, turn: int, channels_last: bool = False) -> None:
        super().__init__((peer,), turn)
        self.net, self.channels_last = net, channels_last
        if channels_last:
            convolutions_last(net)

    def run(self, x: Any, rows: Rows, taps: Sequence[str], keep_buffers: bool) -> Raw:
        if isinstance(x, PerPeer):
            x = pytree.tree_map(lambda t: t[0], x.inputs)
        if self.channels_last:
            x = images_last(x)
        state = {name: b.clone() for name, b in self.net.named_buffers()} if keep_buffers else None
        logits, features = call(self.net, state, x, taps)
        return logits.unsqueeze(0), {name: f.unsqueeze(0) for name, f in features.items()}

    def leaves(self) -> Iterator[Leaf]:
        for name, tensor in (*self.net.named_parameters(), *self.net.named_buffers()):
            yield Leaf(self.peers, name, tensor, stacked=False)

    def network(self, row: int) -> nn.Module:
        return self.net

    def take(self, rows: Rows, peers: Sequence[int]) -> "Single":
        return Single(copy.deepcopy(self.net), peers[0], self.turn, self.channels_last)


def convolutions_last(net: nn.Module) -> None:
    """Move a network's parameters of four dims, its convolutions' weights, to the channels-last memory format."""
    for parameter in net.parameters():
        parameter.data = images_last(parameter.data)


def images_last(inputs: Any) -> Any:
    """Inputs with their tensors of four dims, ``[B, C, H, W]``, in the channels-last memory format."""

    def last(tensor: Tensor) -> Tensor:
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor

    return pytree.tree_map(last, inputs)


class Stack(Group):
    """Like networks as one: parameters with a leading peer dim, and a `Chain` or `torch.func.vmap` over them.

    Dropout draws a mask of its own for every peer, so where there is dropout the numbers differ from a loop's.
    """

    def __init__(self, nets: Sequence[nn.Module], peers: Sequence[int], turn: int) -> None:
        super().__init__(peers, turn)
        empty: dict[int, Tensor] = {
            id(p): nn.Parameter(p.detach().to("meta"), p.requires_grad) for p in nets[0].parameters()
        }
        empty |= {id(b): b.to("meta") for b in nets[0].buffers()}
        # In a list, so that its empty parameters are not taken for ours. Not by to("meta"): that unties tied weights.
        self._skeleton = [copy.deepcopy(nets[0], dict(empty))]
        parameters, buffers = stack_module_state(list(nets))
        self._names, self._buffer_names = tuple(parameters), tuple(buffers)
        self._tied = tied_names(nets[0])
        self._chain = None if self._tied else Chain.of(self._skeleton[0])
        self.weights = nn.ParameterList(nn.Parameter(p.detach(), p.requires_grad) for p in parameters.values())
        for number, buffer in enumerate(buffers.values()):
            self.register_buffer(f"buffer{number}", buffer)

    def train(self, mode: bool = True) -> "Stack":
        self._skeleton[0].train(mode)
        return super().train(mode)

    def run(self, x: Any, rows: Rows, taps: Sequence[str], keep_buffers: bool) -> Raw:
        weights = dict(zip(self._names, self.weights, strict=True))
        buffers = dict(zip(self._buffer_names, self.buffers(), strict=True))
        whole = list(rows) == list(range(len(self.peers)))
        index = on_device(tuple(rows), self.weights[0].device)
        if not whole:
            weights = {name: w[index] for name, w in weights.items()}
        written = buffers if whole and not keep_buffers else {n: b[index].clone() for n, b in buffers.items()}

        def one(w: dict[str, Tensor], b: dict[str, Tensor], inputs: Any) -> Raw:
            state = {**w, **b}
            state |= {name: state[first] for name, first in self._tied.items()}
            return call(self._skeleton[0], state, inputs, taps, tie=False)

        own = isinstance(x, PerPeer)
        given = x.inputs if own else x
        try:
            if self._chain is not None and not taps and isinstance(given, Tensor):
                output: Raw = self._chain(weights | written, given, own), {}
            else:
                stacked = torch.vmap(one, in_dims=(0, 0, 0 if own else None), randomness="different")
                output = stacked(weights, written, given)
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            first = pytree.tree_map(lambda t: t[0], given) if own else given
            with torch.no_grad():  # raises what is wrong with the network itself
                one({n: w[0] for n, w in weights.items()}, {n: b[0].clone() for n, b in written.items()}, first)
            reason = str(error).partition("\n")[0]
            raise CannotStack(
                f"execute='stack': these networks cannot run as one on these inputs ({reason}); use execute='loop'"
            ) from error
        if not whole and not keep_buffers:
            for name, b in buffers.items():
                # data: an earlier pass of all peers has these statistics saved, though its backward does not read them
                b.data[index] = written[name]
        return output

    def leaves(self) -> Iterator[Leaf]:
        names = (*self._names, *self._buffer_names)
        for name, tensor in zip(names, (*self.weights, *self.buffers()), strict=True):
            yield Leaf(self.peers, name, tensor, stacked=True)

    def network(self, row: int) -> nn.Module:
        empty = self._skeleton[0]
        own = {leaf.name: leaf.tensor[row].detach().clone() for leaf in self.leaves()}
        filled: dict[int, Tensor] = {
            id(p): nn.Parameter(own[name], p.requires_grad) for name, p in empty.named_parameters()
        }
        filled |= {id(b): own[name] for name, b in empty.named_buffers()}
        return copy.deepcopy(empty, dict(filled))

    def take(self, rows: Rows, peers: Sequence[int]) -> "Stack":
        return Stack([self.network(row) for row in rows], peers, self.turn)


def tied_names(net: nn.Module) -> dict[str, str]:
    """The further names of tensors that have several, and the first name of each."""
    first: dict[Tensor, str] = {}
    every = (*net.named_parameters(remove_duplicate=False), *net.named_buffers(remove_duplicate=False))
    return {name: first[t] for name, t in every if first.setdefault(t, name) != name}


def alike(a: nn.Module, b: nn.Module) -> bool:
    """Whether two networks differ in nothing but the values of their parameters and buffers."""

    def form(net: nn.Module) -> list[tuple[Any, ...]]:
        tensors = (*net.named_parameters(), *net.named_buffers())
        shapes = [(name, t.shape, t.dtype, t.requires_grad) for name, t in tensors]
        # what repr does not show: a number that forward reads, the mode of each submodule
        plain = (bool, int, float, str, type(None))
        settings = [(name, k, v) for name, m in net.named_modules() for k, v in vars(m).items() if isinstance(v, plain)]
        return [*shapes, *settings]

    return type(a) is type(b) and repr(a) == repr(b) and form(a) == form(b)


def arrange(
    nets: Sequence[nn.Module], execute: str, turns: Sequence[int], peers: Sequence[int] | None = None
) -> list[Group]:
    """The groups of networks: with ``stack``, like ones of one turn together; otherwise each by itself.

    Args:
        nets: all of them.
        execute: as of `Cohort`.
        turns: of each.
        peers: their numbers in the cohort; None: 0, 1, ...
    """
    peers = range(len(nets)) if peers is None else peers
    together = bundles(nets, turns) if execute == "stack" else [[i] for i in range(len(nets))]
    return [
        Stack([nets[i] for i in bundle], [peers[i] for i in bundle], turns[bundle[0]])
        if len(bundle) > 1
        else Single(nets[bundle[0]], peers[bundle[0]], turns[bundle[0]], execute == "channels_last")
        for bundle in together
    ]


def bundles(nets: Sequence[nn.Module], turns: Sequence[int]) -> list[list[int]]:
    """The numbers of like networks of one turn, together."""
    found: list[list[int]] = []
    for i in range(len(nets)):
        for bundle in found:
            if turns[bundle[0]] == turns[i] and alike(nets[bundle[0]], nets[i]):
                bundle.append(i)
                break
        else:
            found.append([i])
    return found
