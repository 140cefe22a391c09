"""Silos in one process, and what they are compared with."""

import torch
from safetensors.torch import load_file

from codistill import checkpoint
from codistill.exchange.rounds import Silo
from codistill.run import Run
from codistill.training.silo import answer, own_part
from jobs import noisy_squares

EVERY = 4
TOGETHER = Run(  # in one process: rounds as a method has them
    method=f"codistillation:exchange=posteriors,exchange_every={EVERY},burn_in=0,temperature=2", peers=3, labels=30,
    models=("mlp:hidden=6,layers=1", "mlp:hidden=5", "mlp:hidden=4"), unlabelled=6, shards="equal", batch=5, steps=10,
    epochs=2, precision="float64", execute="loop", clip=1.0,
)  # fmt: skip
APART = TOGETHER.replace(method="codistillation:exchange=logits,burn_in=0,temperature=2", labels=None)


class Here:
    """Silos in this process: all that crosses goes through `ask`, which may leave some out."""

    def __init__(self, folder, run=APART, data=TOGETHER, peers=(0, 1, 2)):
        self.folder, self.run, self.peers, self.crossed = folder, run, peers, []
        self.data = [own_part(data, peer, noisy_squares()) for peer in range(data.peers)]

    def ask(self, question):
        questions = {peer: question(peer) for peer in self.peers}
        answers = {peer: self.answer(peer, asked) for peer, asked in questions.items()}
        self.crossed += [*questions.values(), *answers.values()]
        return questions, answers

    def answer(self, peer, question, every=EVERY):
        return answer(self.run, self.folder / str(peer), Silo(peer, every, question), self.data[peer])


def weights(folder, peer):
    found = load_file(checkpoint.latest(folder) / "peers.safetensors")
    return {name: t for name, t in found.items() if name.startswith(f"peers.{peer}.")}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, other[name], rtol=1e-9, atol=1e-11, msg=name)
