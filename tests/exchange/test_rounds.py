"""Silos that meet in rounds: their numbers are those of one process, and what is told is predictions alone."""

import pytest
import torch
from safetensors.torch import load_file

from codistill import checkpoint
from codistill.exchange.rounds import Answer, Question, Silo, mixed, rounds
from codistill.files import read_lines
from codistill.run import Run
from codistill.training.loop import train
from codistill.training.records import logged, read_log
from codistill.training.silo import answer, conduct, own_part
from jobs import noisy_squares

EVERY = 4
TOGETHER = Run(  # in one process: rounds as a method has them
    method=f"codistillation:exchange=posteriors,exchange_every={EVERY},burn_in=0,temperature=2", peers=3, labels=30,
    models=("mlp:hidden=6,layers=1", "mlp:hidden=5", "mlp:hidden=4"), unlabelled=6, shards="equal", batch=5, steps=14,
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


@pytest.mark.parametrize("graph", [None, "ring"])
def test_silos_learn_what_one_process_learns(graph, tmp_path):
    given = "" if graph is None else f",graph={graph}"
    together = TOGETHER.replace(method=f"{TOGETHER.method}{given}")
    silos = Here(tmp_path, APART.replace(method=f"{APART.method}{given}"), together)
    list(logged(train(together, tmp_path / "one", dataset=noisy_squares()), tmp_path / "one"))
    told = list(conduct(silos.run, EVERY, silos.ask))
    assert [each.until for each in told] == [4, 8, 12, 14]
    expected = {row["peer"]: row for row in read_lines(tmp_path / "one" / "results.jsonl") if row.get("networks") == 1}
    for peer in range(3):
        home = tmp_path / str(peer)
        assert_same(weights(home, peer), weights(tmp_path / "one", peer))
        (row,) = read_lines(home / "results.jsonl")  # of its own network, and nobody else's
        assert row["peer"] == peer
        assert row["nll"] == pytest.approx(expected[peer]["nll"], rel=1e-9)
        last = [line for line in read_log(home) if line["kind"] == "epoch"][-1]
        ours = [line for line in read_log(tmp_path / "one") if line["kind"] == "epoch"][-1]
        assert last["terms"]["mimic"] == [pytest.approx(ours["terms"]["mimic"][peer], rel=1e-8)]
        assert last["terms"]["mimic"][0] > 0
