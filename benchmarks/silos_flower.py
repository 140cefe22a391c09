"""Silos as real processes of Flower on this machine: a SuperLink, a SuperNode for each silo, and ``flwr run``.

    python benchmarks/silos_flower.py plain    what crossed, and that the networks are those of one process
    python benchmarks/silos_flower.py away     over TLS: one SuperNode is killed and started again

Needs codistill[flower]. Every byte between the SuperNodes and the SuperLink goes through a relay that keeps it. It
prints what it has found, and ends with an error where something is not as it should be.
"""

import argparse
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file

from codistill import checkpoint
from codistill.data.examples import DataSet
from codistill.files import read_lines
from codistill.training.loop import train
from codistill.training.records import logged, read_log

ROOT = Path(__file__).resolve().parents[1]
APP = ROOT / "examples" / "flower_silos"
sys.path.insert(0, str(APP))
from silos.settings import REHEARSAL, RUN, data_of  # noqa: E402

BIN = Path(sys.executable).parent
LIMIT = 1800.0  # seconds that anything may take
WINDOW = 32  # bytes of a tensor that are looked for


class Relay:
    """Passes on what SuperNodes and SuperLink send each other, and keeps it, by direction."""

    def __init__(self, port: int) -> None:
        self.target, self.up, self.down = port, bytearray(), bytearray()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self.server.accept()
                other = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, node: socket.socket, link: socket.socket) -> None:
        sent = {node: bytearray(), link: bytearray()}  # of this connection, so that nothing is torn apart
        with node, link:
            while True:
                for source in select.select([node, link], [], [])[0]:
                    try:
                        piece = source.recv(2**16)
                        if piece:
                            (link if source is node else node).sendall(piece)
                            sent[source] += piece
                            continue
                    except OSError:
                        pass
                    self.up += sent[node]
                    self.down += sent[link]
                    return


def free_port() -> int:
    """One that nobody listens at."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def certificates(folder: Path) -> dict[str, Path]:
    """A certificate authority, and a certificate of 127.0.0.1 by it."""
    key, ca, server, request, wanted = (folder / n for n in ("ca.key", "ca.pem", "server.key", "server.csr", "san"))
    signed = folder / "server.pem"
    wanted.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj"]
    orders = [
        [*new, "/CN=silos", "-x509", "-days", "2", "-keyout", key, "-out", ca],
        [*new, "/CN=127.0.0.1", "-keyout", server, "-out", request],
        ["openssl", "x509", "-req", "-in", request, "-CA", ca, "-CAkey", key, "-CAcreateserial", "-days", "2",
         "-extfile", wanted, "-out", signed],
    ]  # fmt: skip
    for order in orders:
        subprocess.run(list(map(str, order)), check=True, capture_output=True)
    return {"ca": ca, "key": server, "certificate": signed}


class Federation:
    """The processes, and where they write."""

    def __init__(self, folder: Path, tls: bool, nice: int) -> None:
        self.folder, self.nice = folder, nice
        self.certificates = certificates(folder) if tls else {}
        self.link_port = free_port()
        self.relay = Relay(self.link_port)
        self.home = folder / "flower"
        self.home.mkdir()
        trusted = f'root-certificates = "{self.certificates["ca"]}"' if tls else "insecure = true"
        (self.home / "config.toml").write_text(
            f'[superlink]\ndefault = "here"\n\n[superlink.here]\naddress = "127.0.0.1:{self.link_port}"\n{trusted}\n'
        )
        self.server = folder / "server"
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, program: str, *words: object) -> subprocess.Popen[bytes]:
        """A process whose output goes to a file."""
        quiet = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "PYTHONUNBUFFERED": "1"}
        environment = {**os.environ, **quiet, "FLWR_HOME": str(self.home), "OMP_NUM_THREADS": "1"}
        environment["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        order = ["nice", "-n", str(self.nice)] if self.nice else []
        with (self.folder / f"{name}.out").open("ab") as out:
            process = subprocess.Popen(
                [*order, str(BIN / program), *map(str, words)],
                stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environment,
            )  # fmt: skip
        self.processes.append(process)
        return process

    def superlink(self) -> None:
        """Start it, and wait until it listens."""
        c = self.certificates
        tls = ["--ssl-ca-certfile", c["ca"], "--ssl-certfile", c["certificate"], "--ssl-keyfile", c["key"]] if c else []
        self.start(
            "superlink", "flower-superlink", *(tls or ["--insecure"]), "--host", "127.0.0.1", "--port", self.link_port,
            "--disable-runtime-dependency-installation",
        )  # fmt: skip
        until(lambda: _listens(self.link_port), "the SuperLink listens")

    def supernode(self, peer: int) -> subprocess.Popen[bytes]:
        """The node of a silo, through the relay."""
        tls = ["--root-certificates", self.certificates["ca"]] if self.certificates else ["--insecure"]
        config = f'peer={peer} folder="{self.folder / f"site{peer}"}"'
        return self.start(
            f"supernode{peer}", "flower-supernode", *tls, "--superlink", f"127.0.0.1:{self.relay.port}",
            "--port", free_port(), "--node-config", config,
        )  # fmt: skip

    def run(self, **config: object) -> subprocess.Popen[bytes]:
        """``flwr run`` of the app of the example."""
        settings = {"folder": f'"{self.server}"', **config}
        words = " ".join(f"{name}={value}" for name, value in settings.items())
        return self.start("run", "flwr", "run", APP, "here", "--stream", "--run-config", words)

    def rounds(self) -> list[dict[str, object]]:
        """What the server has logged so far."""
        return read_log(self.server)

    def end(self) -> None:
        """All processes, and theirs."""
        for process in reversed(self.processes):
            kill(process)
        self.relay.server.close()


def kill(process: subprocess.Popen[bytes]) -> None:
    """A process and those that it has started."""
    for number in descendants(process.pid):
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def descendants(number: int) -> list[int]:
    """A process and all that it, and they, have started."""
    children: dict[int, list[int]] = {}
    for line in subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split(
        "\n"
    ):
        if line.strip():
            pid, parent = map(int, line.split())
            children.setdefault(parent, []).append(pid)
    found = [number]
    for each in found:
        found += children.get(each, [])
    return found


def _listens(port: int) -> bool:
    with closing(socket.socket()) as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def until(holds: Callable[[], object], what: str, limit: float = LIMIT) -> None:
    """Wait until something holds.

    Raises:
        TimeoutError: it does not in time.
    """
    begun = time.monotonic()
    while not holds():
        if time.monotonic() - begun > limit:
            raise TimeoutError(f"not within {limit:g} seconds: {what}")
        time.sleep(0.2)


@contextmanager
def federation(tls: bool, nice: int, kept: Path | None) -> Iterator[Federation]:
    """One that is ended whatever happens; its folder is removed, unless it was named."""
    with ExitStack() as stack:
        folder = kept or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        found = Federation(folder, tls, nice)
        stack.callback(found.end)
        yield found


def windows(tensor: torch.Tensor) -> Iterator[bytes]:
    """Pieces of a tensor's bytes that are not all alike."""
    content = tensor.detach().contiguous().numpy().tobytes()
    for start in range(0, max(len(content) - WINDOW, 0) + 1, WINDOW):
        piece = content[start : start + WINDOW]
        if len(piece) == WINDOW and len(set(piece)) > WINDOW // 4:
            yield piece


def crossed(tensors: list[torch.Tensor], wire: bytes) -> tuple[int, int]:
    """How many of the pieces of some tensors there are, and how many of them crossed."""
    pieces = {piece for tensor in tensors for piece in windows(tensor)}
    return len(pieces), sum(piece in wire for piece in pieces)


def private(dataset: DataSet) -> list[torch.Tensor]:
    """A silo's labelled samples, as they are and as its network gets them."""
    x = dataset.train.x[dataset.train.y >= 0]
    assert isinstance(x, torch.Tensor)
    scaled = x.float() / 255 if x.dtype == torch.uint8 else x.float()
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (dataset.mean, dataset.std))
    return [x, scaled, (scaled - mean) / std]


def plain(nice: int, kept: Path | None) -> None:
    """The numbers, and what crossed."""
    with federation(False, nice, kept) as here:
        begun = time.monotonic()
        here.superlink()
        for peer in range(RUN.peers):
            here.supernode(peer)
        process = here.run()
        until(lambda: len(here.rounds()) == 4 or process.poll() is not None, "four rounds")
        for line in here.rounds():
            print(json.dumps(line))
        assert [line["step"] for line in here.rounds()] == [20, 40, 60, 80], "not all rounds took place"
        print(
            f"four rounds of {RUN.peers} silos: {time.monotonic() - begun:.0f} seconds, all processes' start included"
        )
        here.end()
        time.sleep(1)  # for the relay's last pieces
        one = here.folder / "one"
        list(logged(train(REHEARSAL, one), one))
        same(here.folder, one)
        content(here, bytes(here.relay.up), bytes(here.relay.down))


def newest(folder: Path) -> Path:
    """The newest checkpoint of a run that has one."""
    found = checkpoint.latest(folder)
    assert found is not None, f"{folder} has no checkpoint"
    return found


def same(folder: Path, one: Path) -> None:
    """The networks of the silos are those of one process."""
    expected = load_file(newest(one) / "peers.safetensors")
    for peer in range(RUN.peers):
        found = load_file(newest(folder / f"site{peer}") / "peers.safetensors")
        far = max(float((t - expected[name]).abs().max()) for name, t in found.items())
        size = max(float(expected[name].abs().max()) for name in found)
        rows = [
            next(row for row in read_lines(home / "results.jsonl") if row.get("peer") == peer)
            for home in (folder / f"site{peer}", one)
        ]
        print(
            f"peer {peer}: weights differ from those of one process by at most {far:.1e} (the largest is {size:.2f}); "
            f"accuracy {rows[0]['accuracy']:.4f} and {rows[1]['accuracy']:.4f}, nll {rows[0]['nll']:.6f} and "
            f"{rows[1]['nll']:.6f}"
        )
        assert far < 1e-4 * size, "the networks are others"


def content(here: Federation, up: bytes, down: bytes) -> None:
    """What was on the wire, and what was not."""
    wire = up + down
    print(f"bytes from the silos {len(up):,}, to the silos {len(down):,}, with all that Flower says besides")
    for peer in range(RUN.peers):
        last = checkpoint.all_of(here.folder / f"site{peer}")
        weights = [t for path in last for t in load_file(path / "peers.safetensors").values()]
        state = [load_file(path / "state.safetensors") for path in last]
        moments = [t for each in state for name, t in each.items() if name.startswith("optimizer.")]
        for what, tensors in {
            "weights": weights,
            "momentum": moments,
            "labelled samples": private(data_of(peer)),
        }.items():
            pieces, found = crossed(tensors, wire)
            print(f"peer {peer}, {what}: {found} of {pieces} pieces of {WINDOW} bytes on the wire")
            assert pieces
            assert not found, f"{what} crossed"
        pieces, found = crossed([each["silo.own"] for each in state], up)
        print(f"peer {peer}, its posteriors: {found} of {pieces} pieces went up")
        assert found == pieces, "what should have crossed was not seen, so the others prove nothing"
        sent = sum(
            line["received"] + line["sent"]
            for line in read_log(here.folder / f"site{peer}")
            if line["kind"] == "exchange"
        )
        print(f"peer {peer}: {sent:,} bytes in its own log")


def away(nice: int, kept: Path | None) -> None:
    """One silo is killed and returns, over TLS."""
    with federation(True, nice, kept) as here:
        begun = time.monotonic()
        here.superlink()
        nodes = [here.supernode(peer) for peer in range(RUN.peers)]
        process = here.run(every=10)
        until(lambda: here.rounds() or process.poll() is not None, "the first round")
        kill(nodes[2])
        print(f"{time.monotonic() - begun:.0f} s: silo 2 was killed after round {len(here.rounds())}")
        until(lambda: any(2 in line["absent"] for line in here.rounds()), "a round without it")
        here.supernode(2)
        print(f"{time.monotonic() - begun:.0f} s: silo 2 was started again after round {len(here.rounds())}")
        until(lambda: len(here.rounds()) == 8 or process.poll() is not None, "eight rounds")
        for line in here.rounds():
            print(json.dumps(line))
        absent = [line["absent"] for line in here.rounds()]
        assert absent[0] == absent[-1] == []
        assert [2] in absent
        for peer in range(RUN.peers):
            home = here.folder / f"site{peer}"
            until((home / "results.jsonl").exists, "its results", 60)
            lines = [line for line in read_log(home) if line["kind"] == "exchange"]
            told = [(line["step"], line["of"]) for line in lines]
            print(f"peer {peer}: at these steps it was told of these peers: {told}")
            assert told[-1][1] == [0, 1, 2], "the silo that returned is not heard, or does not hear"
            facts = checkpoint.facts_of(newest(home))
            assert facts["step"] == RUN.steps
            states = [load_file(path / "state.safetensors")["silo.own"] for path in checkpoint.all_of(home)]
            here.relay.server.close()
            pieces, found = crossed(states, bytes(here.relay.up))
            print(f"peer {peer}, its posteriors: {found} of {pieces} pieces are readable on the wire")
            assert pieces
            assert not found, "TLS hides nothing"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("plain", "away"))
    parser.add_argument(
        "--nice", type=int, default=0, help="priority of the processes, on a machine with much else to do"
    )
    parser.add_argument("--keep", type=Path, default=None, help="an empty folder for all that the processes write")
    words = parser.parse_args()
    torch.set_num_threads(1)
    {"plain": plain, "away": away}[words.what](words.nice, words.keep)


if __name__ == "__main__":
    main()
