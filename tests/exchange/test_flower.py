"""What Flower carries. Here its grid is in this process; `benchmarks/silos_flower.py` runs its real processes."""

import importlib
import json
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from codistill.exchange import flower
from codistill.exchange.mesh import Lost
from codistill.exchange.rounds import Answer, Question, rounds
from codistill.training.loop import train
from codistill.training.records import logged, read_log
from codistill.training.requirements import check_silo
from codistill.training.silo import client_app, own_part, server_app
from jobs import noisy_squares
from silos_here import APART, EVERY, TOGETHER, assert_same, weights

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "flower_silos"


class Message:
    def __init__(self, content, *, dst_node_id=None, message_type=None, reply_to=None):
        node = dst_node_id if reply_to is None else reply_to.metadata.dst_node_id
        self.content, self.error = content, None
        self.metadata = SimpleNamespace(src_node_id=node, dst_node_id=node, message_type=message_type)

    def has_error(self):
        return self.error is not None


class App:
    """An app of one function."""

    function = None

    def train(self):
        return lambda function: setattr(self, "function", function)

    main = train

    def __call__(self, *what):
        return self.function(*what)


STAND_IN = SimpleNamespace(
    Message=Message, RecordDict=dict, ConfigRecord=dict, ArrayRecord=dict, ClientApp=App, ServerApp=App,
    Array=lambda values: SimpleNamespace(numpy=lambda: values, shape=values.shape),
)  # fmt: skip


@pytest.fixture(params=["stand-in", "flwr"], autouse=True)
def flwr(request, monkeypatch):
    """Flower itself where it is installed; and what we need of it, everywhere."""
    if request.param == "stand-in":
        monkeypatch.setattr(flower, "needed", lambda *_: STAND_IN)
        return STAND_IN
    pytest.importorskip("flwr", reason="needs flwr (pip install 'codistill[flower]'), which does not go with [dev]")
    identity = importlib.import_module("flwr.supercore.task_identity").TaskIdentity
    for name in ("_run_id", "_node_id", "_task_id"):  # of the process that a SuperLink would have started
        monkeypatch.setattr(identity, name, 1)
    return importlib.import_module("flwr.app")


class Grid:
    """SuperNodes in this process, each with a configuration; keeps all that crosses."""

    def __init__(self, client, configs):
        self.client, self.nodes, self.crossed = client, dict(enumerate(configs, 1001)), []

    def get_node_ids(self):
        return list(self.nodes)

    def send_and_receive(self, messages, timeout):
        for message in messages:
            reply = self.client(message, SimpleNamespace(node_config=self.nodes[message.metadata.dst_node_id]))
            self.crossed += [message.content, reply.content]
            yield reply


def test_an_app_of_flower_trains_what_one_process_trains(tmp_path):
    one = tmp_path / "one"
    list(logged(train(TOGETHER, one, dataset=noisy_squares()), one))
    client = client_app(APART, lambda peer: own_part(TOGETHER, peer, noisy_squares()))
    grid = Grid(client, [{"peer": peer, "folder": str(tmp_path / str(peer))} for peer in (2, 0, 1)])
    config = {"every": EVERY, "wait": 0, "folder": str(tmp_path / "server")}
    server_app(APART)(grid, SimpleNamespace(run_config=config))
    for peer in range(3):
        assert_same(weights(tmp_path / str(peer), peer), weights(one, peer))
    for content in grid.crossed:
        assert set(content) == {"round", "posteriors"}
        assert set(content["round"]) in ({"until", "every", "present"}, {"peer", "step", "pool"})
        assert len(json.dumps(dict(content["round"]))) < 80
        assert [(name, tuple(array.shape)) for name, array in content["posteriors"].items()] in ([], [("p", (20, 5))])
    size = 3 * 20 * 5 * 8
    lines = read_log(tmp_path / "server")
    assert [(line["step"], line["sent"], line["received"]) for line in lines] == [
        (4, 0, size), (8, size, size), (10, size, size),
    ]  # fmt: skip
    assert all(line["absent"] == [] and set(line["steps"].values()) == {line["step"]} for line in lines)


P = torch.tensor([[0.25, 0.75], [0.0, 0.0]])
W = (torch.ones(3, 3) - torch.eye(3)) / 2


def told(log):
    """A ClientApp that trains nothing, and notes what it is told."""

    def respond(node, question):
        log.append((node["peer"], question.until, question.present, question.mix is not None))
        return Answer(node["peer"], question.until, P, "pool")

    return flower.client_app(respond)


def test_what_is_sent_is_what_arrives():
    question = flower.question_of(flower.content_of_question(Question(20, 10, (0, 2), P)))
    assert (question.until, question.every, question.present) == (20, 10, (0, 2))
    assert torch.equal(question.mix, P)
    assert flower.question_of(flower.content_of_question(Question(20, 10))).mix is None
    answer = flower.answer_of(flower.content_of_answer(Answer(1, 20, P.double(), "ab")))
    assert (answer.peer, answer.step, answer.pool) == (1, 20, "ab")
    assert torch.equal(answer.posteriors, P.double())
    with pytest.raises(ValueError, match="peer 3 answered without posteriors"):
        flower.answer_of(flower._content({"peer": 3, "step": 1, "pool": ""}, None))


def test_a_node_that_leaves_returns_as_another():
    log = []
    grid = Grid(told(log), [{"peer": 0}, {"peer": 1}, {"peer": 2}])
    nodes, found = flower.Nodes(grid, 3, 1.0), []
    assert nodes.wait(0) == 3
    for each in rounds(W, 4, 1, nodes):
        found.append(sorted(each.answers))
        if each.until == 1:
            grid.nodes.pop(1003)
        if each.until == 2:
            grid.nodes[1009] = {"peer": 2}
    assert found == [[0, 1, 2], [0, 1], [0, 1, 2], [0, 1, 2]]
    assert [entry[2:] for entry in log if entry[0] == 2] == [((), False), ((), False), ((0, 1, 2), True)]
    assert [entry[2:] for entry in log if entry[0] == 0] == [
        ((), False), ((0, 1, 2), True), ((0, 1), True), ((0, 1, 2), True),
    ]  # fmt: skip


def test_a_node_that_is_gone_is_not_asked_under_its_old_number():
    log = []
    grid = Grid(told(log), [{"peer": 0}, {"peer": 1}])
    nodes = flower.Nodes(grid, 2, 1.0)
    for each in rounds(W[:2, :2], 3, 1, nodes):
        if each.until == 1:
            grid.nodes[1005] = grid.nodes[1002]  # it is back, and its old number is still in the list
            grid.client = told(log)
            nodes._node_of[1] = 1005
            nodes._peer_of[1005] = 1
    assert [entry[0] for entry in log] == [0, 1] * 3


@pytest.mark.parametrize(
    ("peers", "message"),
    [((0, 1, 1), "both say peer=1"), ((0, 3), "says peer=3: there are peers 0 to 2"), ((), "no silo answered")],
)
def test_nodes_that_do_not_fit(peers, message):
    nodes = flower.Nodes(Grid(told([]), [{"peer": peer} for peer in peers]), 3, 1.0)
    with pytest.raises((ValueError, Lost), match=message):
        next(rounds(W, 4, 1, nodes))


def test_errors_of_a_silo_are_kept_and_the_others_go_on():
    grid = Grid(told([]), [{"peer": 0}, {"peer": 1}])
    lost = SimpleNamespace(has_error=lambda: True, error=SimpleNamespace(reason="gone"))
    lost.metadata = SimpleNamespace(src_node_id=7)
    grid.send_and_receive = lambda messages, timeout: [*Grid.send_and_receive(grid, messages, timeout), lost]
    nodes = flower.Nodes(grid, 2, 1.0)
    assert sorted(next(rounds(W, 4, 1, nodes)).answers) == [0, 1]
    assert nodes.errors == {7: "gone"}


def test_the_first_round_waits_for_two_at_least():
    with pytest.raises(Lost, match="1 of 3 SuperNodes were there after 0 seconds"):
        flower.Nodes(Grid(told([]), [{"peer": 0}]), 3, 1.0).wait(0)


def test_a_node_without_its_peer_says_how_to_start_it():
    grid = Grid(client_app(APART), [{"peer": 0}])
    with pytest.raises(ValueError, match="the SuperNode has no folder: --node-config 'peer=0 folder="):
        next(rounds(W, 4, 1, flower.Nodes(grid, 3, 1.0)))


def test_without_flower_the_error_names_the_fix(monkeypatch):
    monkeypatch.undo()
    try:
        importlib.import_module("flwr")
    except ImportError:
        with pytest.raises(ImportError, match=r"silos over a network needs flwr.*pip install 'codistill\[flower\]'"):
            server_app(APART)


def test_the_example_is_an_app(monkeypatch):
    """Its settings are a silo's and those of its rehearsal, and both apps are there."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    settings = importlib.import_module("silos.settings")
    config = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["flwr"]["app"]
    for component in config["components"].values():
        module, _, name = component.partition(":")
        assert hasattr(importlib.reload(importlib.import_module(module)), name)
    check_silo([settings.RUN], 0)
    assert settings.REHEARSAL.method.options["exchange_every"] == config["config"]["every"]
    assert sum((settings.data_of(peer).train.y >= 0).sum() for peer in range(3)) == 60
