"""Silos: each trains one peer on its own data, and they meet in rounds, which somebody conducts."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codistill import checkpoint, methods
from codistill.checkpoint import Checkpoint
from codistill.checks import whole
from codistill.data.examples import DataSet, Examples
from codistill.data.split import split
from codistill.exchange import flower
from codistill.exchange.rounds import Answer, Ask, Question, Round, Silo, rounds
from codistill.files import append_lines
from codistill.run import Run
from codistill.training.loop import train
from codistill.training.records import logged
from codistill.training.requirements import check_silo
from codistill.training.streams import pieces_of


def own_part(run: Run, peer: int, dataset: DataSet) -> DataSet:
    """What one peer of a run would have if it were a silo: its labelled examples, and those of all without a label.

    To rehearse, with data that are all in one place. Real silos have data of their own.

    Raises:
        ValueError: the run deals out no shards, or has no such peer.
    """
    if not run.private or not 0 <= peer < run.peers:
        raise ValueError(f"peer={peer}, shards='{run.shards}': give one of the peers 0 to {run.peers - 1} and shards")
    parts = split(dataset, run.seed, labels=run.labels)
    piece, pool = pieces_of(run, dataset, parts.train, run.seed)[peer], parts.unlabelled
    if not isinstance(piece.x, Tensor) or not isinstance(pool.x, Tensor):
        raise ValueError(f"data='{run.data}': images are read from files; give each silo files of its own")
    train = Examples(torch.cat([piece.x, pool.x]), torch.cat([piece.y, pool.y]))
    return replace(dataset, train=train, groups=())


def answer(run: Run, folder: Path, silo: Silo, dataset: DataSet | None = None) -> Answer:
    """Train a silo's peer until the step that its question says, from wherever its folder's checkpoint is, and tell.

    All that is told is of the checkpoint, so an answer that is asked for again is the same.

    Args:
        run: the same for all silos but for the data, the networks and where it is computed.
        folder: of this silo's training; it is made where it is missing.
        silo: which peer, and what it is told.
        dataset: its own; None: as the run says.

    Raises:
        ValueError: nothing is asked, settings that do not fit silos, or a folder of another run.
    """
    if silo.question is None:
        raise ValueError(f"peer={silo.peer} was asked nothing: give the silo a question")
    saved = _saved(folder)
    if saved is None or saved.facts["step"] < silo.question.until:
        _train(run, folder, silo, dataset)
        saved = _saved(folder)
    assert saved is not None
    return Answer(silo.peer, saved.facts["step"], saved.state["silo.own"], bytes(saved.state["silo.pool"]).hex())


def _saved(folder: Path) -> Checkpoint | None:
    found = checkpoint.newest_whole(folder)
    return found[1] if found else None


def _train(run: Run, folder: Path, silo: Silo, dataset: DataSet | None) -> None:
    """Until the step that is asked for, or to the end, with a checkpoint there."""
    until = silo.question.until if silo.question is not None else 0
    goes_on = (folder / "runs.json").exists()
    records = logged(train(run, folder, resume=goes_on, dataset=dataset, shared=silo), folder)
    for record in records:
        if record.kind == "step" and until <= record.step < record.steps:
            break
    records.close()


def conduct(run: Run, every: int, ask: Ask) -> Iterator[Round]:
    """The rounds of a run, see `rounds`; the graph is its method's."""
    check_silo([run], 0)
    assert run.steps is not None
    yield from rounds(methods.get(run.method).peer_graph.matrix(run.peers), run.steps, whole("every", every), ask)


# Over Flower --------------------------------------------------------------------------------------------------------


def client_app(run: Run, data: Callable[[int], DataSet] | None = None) -> Any:
    """The Flower ``ClientApp`` of all silos; a SuperNode's configuration says ``peer`` and ``folder``.

    ``flower-supernode --node-config 'peer=0 folder="runs/site0"'``

    Args:
        run: the same for all silos.
        data: gives the data of a peer, in its silo; None: those that the run names, in this place.

    Raises:
        ImportError: Flower is not installed.
    """

    def respond(node: Mapping[str, Any], question: Question) -> Answer:
        if missing := [name for name in ("peer", "folder") if name not in node]:
            raise ValueError(f"the SuperNode has no {missing[0]}: --node-config 'peer=0 folder=\"runs/site0\"'")
        peer = whole("peer", node["peer"], 0)
        dataset = data(peer) if data is not None else None
        return answer(run, Path(str(node["folder"])), Silo(peer, question.every, question), dataset)

    return flower.client_app(respond)


def server_app(run: Run) -> Any:
    """The Flower ``ServerApp`` that conducts the rounds of a run.

    Its configuration (``flwr run --run-config``) may say ``every``, the steps between two rounds (50), ``wait``, how
    many seconds the first round waits for all silos (600), ``timeout``, how many seconds a round may take (3600), and
    ``folder``, where ``log.jsonl`` gets a line for each round.

    Args:
        run: the same as the silos'.

    Raises:
        ImportError: Flower is not installed.
    """

    def conducted(grid: Any, config: Mapping[str, Any]) -> None:
        nodes = flower.Nodes(grid, run.peers, float(config.get("timeout", 3600)))
        nodes.wait(float(config.get("wait", 600)))
        for number, each in enumerate(conduct(run, int(config.get("every", 50)), nodes), 1):
            errors = {"errors": list(nodes.errors.values())} if nodes.errors else {}
            line = {"kind": "round", "round": number, **line_of(each, run.peers), **errors}
            print(json.dumps(line), flush=True)  # in the log that flwr run --stream shows
            if config.get("folder"):
                folder = Path(str(config["folder"]))
                folder.mkdir(parents=True, exist_ok=True)
                append_lines(folder / "log.jsonl", [line])

    return flower.server_app(conducted)


def line_of(each: Round, peers: int) -> Mapping[str, object]:
    """What a log says of a round: who answered and who did not, and the bytes of what was sent and received."""
    return {
        "step": each.until,
        "steps": {str(peer): each.answers[peer].step for peer in sorted(each.answers)},
        "absent": [peer for peer in range(peers) if peer not in each.answers],
        "sent": each.sent,
        "received": each.received,
    }
