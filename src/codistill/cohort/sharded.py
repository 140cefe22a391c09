"""Peers whose weights are dealt out over the processes that share their batches: torch's ``fully_shard``."""

import copy
from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from codistill.cohort.groups import Leaf, Rows, Single, tied_names
from codistill.exchange import Mesh


class Sharded(Single):
    """One network, of whose parameters this process holds its shard, the rows ``tensor.chunk(data)[shard]``.

    A unit's weights are gathered for its forward and its backward pass, and gradients are added up over the shards. The
    units are the network's children, those of its lists and sequences one by one; a network with tied weights is one
    unit. Buffers are in every process.

    The leaves are the shards as plain tensors, which share the memory of the network's own, so that optimizers and
    averages know nothing of all this.

    Args:
        net: is sharded in place.
        peer: its number in the cohort.
        turn: when it is updated.
        mesh: with ``sharded``.

    Raises:
        ValueError: GPUs without NCCL, or a parameter without a dim.
    """

    def __init__(self, net: nn.Module, peer: int, turn: int, mesh: Mesh) -> None:
        super().__init__(net, peer, turn)
        self.mesh = mesh
        empty: dict[int, Tensor] = {
            id(p): nn.Parameter(p.detach().to("meta"), p.requires_grad) for p in net.parameters()
        }
        empty |= {id(b): b.to("meta") for b in net.buffers()}
        self._skeleton = [copy.deepcopy(net, empty)]  # in a list, so that its empty parameters are not taken for ours
        _shard(net, mesh)
        self._shards = {
            name: Leaf(self.peers, name, nn.Parameter(_local(p).detach(), p.requires_grad), stacked=False, of=p)
            for name, p in net.named_parameters()
        }

    def leaves(self) -> Iterator[Leaf]:
        yield from self._shards.values()
        for name, buffer in self.net.named_buffers():
            yield Leaf(self.peers, name, buffer, stacked=False)

    def state(self, row: int) -> dict[str, Tensor]:
        """Whole parameters, on the CPU; all processes with this peer take part."""
        return {leaf.name: leaf.gathered(leaf.tensor) for leaf in self.leaves()}

    def pieces(self, row: int) -> dict[str, Tensor]:
        return {leaf.name: leaf.tensor for leaf in self.leaves()}

    def load(self, row: int, state: Mapping[str, Tensor]) -> None:
        for leaf in self.leaves():
            leaf.tensor.copy_(leaf.part(state[leaf.name]))

    def hand_out(self) -> None:
        for leaf in self._shards.values():
            assert leaf.of is not None
            if leaf.of.grad is not None:
                leaf.tensor.grad, leaf.of.grad = _local(leaf.of.grad), None

    def take(self, rows: Rows, peers: Rows) -> "Sharded":
        own, empty = self.state(0), self._skeleton[0]
        filled: dict[int, Tensor] = {
            id(p): nn.Parameter(own[name], p.requires_grad) for name, p in empty.named_parameters()
        }
        filled |= {id(b): own[name].clone() for name, b in empty.named_buffers()}
        return Sharded(copy.deepcopy(empty, filled), peers[0], self.turn, self.mesh)


def _local(tensor: Tensor) -> Tensor:
    """The shard of a DTensor that is here."""
    shard: Tensor = tensor.to_local()  # type: ignore[attr-defined]
    return shard


def _shard(net: nn.Module, mesh: Mesh) -> None:
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.fsdp import FSDPModule, fully_shard

    device = next(net.parameters()).device.type
    if mesh.staged and device != "cpu":
        raise ValueError(
            "mesh: shard=true: over gloo there are no GPUs: give each process one of its own, or set device=cpu"
        )
    assert mesh.shards is not None
    along = DeviceMesh.from_group(mesh.shards, device)
    for unit in (*(() if tied_names(net) else _units(net)), net):
        fully_shard(unit, mesh=along)
    for module in net.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)  # a sum: each process's gradient is of its own samples' part
            module.set_force_sum_reduction_for_comms(True)  # gloo knows no other


def _units(net: nn.Module) -> Iterator[nn.Module]:
    """The children that have parameters, those of lists and sequences one by one."""
    for child in net.children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict | nn.Sequential):
            yield from _units(child)
        elif any(True for _ in child.parameters()):
            yield child
