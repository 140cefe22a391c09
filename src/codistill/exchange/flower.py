"""Rounds over Flower (https://flower.ai): a ClientApp that answers and a ServerApp that asks.

They carry a `Question` and an `Answer`, and nothing else; who trains what is not their business. A message is one
`ConfigRecord` of whole numbers and short texts, and one `ArrayRecord` with at most one array, of posteriors.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from codistill.exchange.mesh import Lost
from codistill.exchange.rounds import Answer, Question
from codistill.libraries import needed

EXTRA, USER = "flower", "silos over a network"
FACTS, ARRAYS, P = "round", "posteriors", "p"  # names of the records of a message, and of their array
PAUSE = 0.5  # seconds between two looks for SuperNodes

Respond = Callable[[Mapping[str, Any], Question], Answer]  # the SuperNode's configuration, what it is asked


def client_app(respond: Respond) -> Any:
    """A Flower ``ClientApp`` that gives a SuperNode's answers.

    Raises:
        ImportError: Flower is not installed.
    """
    app, clientapp = needed("flwr.app", EXTRA, USER), needed("flwr.clientapp", EXTRA, USER)
    client = clientapp.ClientApp()

    @client.train()  # type: ignore[untyped-decorator]
    def train(message: Any, context: Any) -> Any:
        found = respond(context.node_config, question_of(message.content))
        return app.Message(content_of_answer(found), reply_to=message)

    return client


def server_app(conduct: Callable[[Any, Mapping[str, Any]], None]) -> Any:
    """A Flower ``ServerApp`` that hands its grid of SuperNodes, and the configuration of its run, to a function.

    Raises:
        ImportError: Flower is not installed.
    """
    server = needed("flwr.serverapp", EXTRA, USER).ServerApp()

    @server.main()  # type: ignore[untyped-decorator]
    def main(grid: Any, context: Any) -> None:
        conduct(grid, context.run_config)

    return server


@dataclass(eq=False)
class Nodes:
    """The SuperNodes as those who are asked; see `Ask`.

    Which peer a node trains is in its first answer, so in its first round nothing is told to it. A silo that returns is
    another node: it goes on with what its checkpoint knows, and is told again in the round after.

    Attributes:
        grid: of Flower.
        peers: how many silos there are.
        timeout: seconds that a round may take; who has not answered then is left out of it.
        errors: what the silos of the newest round said that failed, by node.
    """

    grid: Any
    peers: int
    timeout: float
    errors: dict[int, str] = field(default_factory=dict, init=False)
    _peer_of: dict[int, int] = field(default_factory=dict, init=False)
    _node_of: dict[int, int] = field(default_factory=dict, init=False)  # of each peer, the node that answered last

    def wait(self, seconds: float) -> int:
        """Wait until there is a node for every peer, or so long: how many there are.

        Raises:
            Lost: there are fewer than two.
        """
        until = time.monotonic() + seconds
        while (there := len(list(self.grid.get_node_ids()))) < self.peers and time.monotonic() < until:
            time.sleep(PAUSE)
        if there < 2:
            raise Lost(
                f"{there} of {self.peers} SuperNodes were there after {seconds:g} seconds: start the others, or set "
                "wait to more"
            )
        return there

    def __call__(
        self, question: Callable[[int | None], Question]
    ) -> tuple[Mapping[int, Question], Mapping[int, Answer]]:
        """Ask every node that is there, and give the questions and answers of those that have answered.

        Raises:
            Lost: nobody has answered.
            ValueError: two nodes are one peer, or there is no such peer.
        """
        app = needed("flwr.app", EXTRA, USER)
        peers = {node: self._peer_of.get(node) for node in self.grid.get_node_ids()}
        asked = {
            node: question(peer) for node, peer in peers.items() if peer is None or self._node_of.get(peer) == node
        }
        messages = [
            app.Message(content_of_question(each), dst_node_id=node, message_type="train")
            for node, each in asked.items()
        ]
        self.errors, answers = {}, dict[int, Answer]()
        for reply in self.grid.send_and_receive(messages, timeout=self.timeout):
            node = reply.metadata.src_node_id
            if reply.has_error():
                self.errors[node] = str(reply.error.reason)
                continue
            found = answer_of(reply.content)
            self._check(found.peer, answers, node)
            answers[found.peer] = found
            self._peer_of[node], self._node_of[found.peer] = found.peer, node
        if not answers:
            raise Lost(f"no silo answered within timeout={self.timeout:g} seconds; {self.errors or 'set it to more'}")
        return {peer: asked[self._node_of[peer]] for peer in answers}, answers

    def _check(self, peer: int, answers: Mapping[int, Answer], node: int) -> None:
        if peer in answers:
            raise ValueError(
                f"nodes {self._node_of[peer]} and {node} both say peer={peer}: give each SuperNode a number of its own "
                "(--node-config)"
            )
        if not 0 <= peer < self.peers:
            raise ValueError(f"node {node} says peer={peer}: there are peers 0 to {self.peers - 1} (--node-config)")


# Messages -----------------------------------------------------------------------------------------------------------


def content_of_question(question: Question) -> Any:
    """What goes to a silo, as a Flower ``RecordDict``."""
    present = " ".join(map(str, question.present))
    return _content({"until": question.until, "every": question.every, "present": present}, question.mix)


def question_of(content: Any) -> Question:
    """The inverse of `content_of_question`."""
    facts = content[FACTS]
    present = tuple(map(int, str(facts["present"]).split()))
    return Question(int(facts["until"]), int(facts["every"]), present, _posteriors(content))


def content_of_answer(answer: Answer) -> Any:
    """What comes from a silo, as a Flower ``RecordDict``."""
    return _content({"peer": answer.peer, "step": answer.step, "pool": answer.pool}, answer.posteriors)


def answer_of(content: Any) -> Answer:
    """The inverse of `content_of_answer`.

    Raises:
        ValueError: it holds no posteriors.
    """
    facts, posteriors = content[FACTS], _posteriors(content)
    if posteriors is None:
        raise ValueError(f"peer {facts['peer']} answered without posteriors: run the same app in all SuperNodes")
    return Answer(int(facts["peer"]), int(facts["step"]), posteriors, str(facts["pool"]))


def _content(facts: Mapping[str, int | str], posteriors: torch.Tensor | None) -> Any:
    app = needed("flwr.app", EXTRA, USER)
    arrays = {} if posteriors is None else {P: app.Array(posteriors.detach().cpu().contiguous().numpy())}
    return app.RecordDict({FACTS: app.ConfigRecord(dict(facts)), ARRAYS: app.ArrayRecord(arrays)})


def _posteriors(content: Any) -> torch.Tensor | None:
    arrays = content[ARRAYS]
    return torch.from_numpy(arrays[P].numpy().copy()) if P in arrays else None


__all__ = [
    "Nodes",
    "answer_of",
    "client_app",
    "content_of_answer",
    "content_of_question",
    "question_of",
    "server_app",
]
