"""Give damaged and strange content to everything that reads a file or a text: it must end in a value or a clear line.

    python tests/fuzz.py --minutes 10
    python tests/fuzz.py --minutes 1 --only log.jsonl spec

Of each reader there are sound contents, of which bytes, lines and JSON values are changed at random. A trial fails
where the reader raises anything but ValueError or OSError, says nothing, or
takes longer than ten seconds. Prints a JSON line per reader: trials, how many ended in a value, and failures.
"""

import argparse
import contextlib
import io
import json
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from codistill import files
from random_damage import DAMAGES

SECONDS = 10  # that a trial may take
LATE = "ten seconds are over"
STRANGE = (
    None,
    True,
    -1,
    0,
    10**30,
    1e308,
    float("nan"),
    "",
    "evil:name",
    "\x1b[2J",
    "../..",
    [],
    {},
    [[]],
    "x" * 5000,
)
CUTS = (":", ",", "=", ";", '"', "\n", "\t", "-", "0", "nan", "none", "\\", "é", "\0", "[", "{", "9" * 400)


@dataclass(frozen=True)
class Reader:
    """Sound contents of a file or text, and what reads it; ``name`` of the file that it is put into."""

    name: str
    seeds: tuple[bytes, ...]
    read: Callable[[Path], object]
    is_json: bool = False
    is_text: bool = False


def places(value, found=None):
    """Every (container, key) of JSON values."""
    found = [] if found is None else found
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            found.append((value, key))
            places(value[key], found)
    return found


def other_json(content, chance):
    """JSON, or one line of it, of which a value is another, is gone, or is there twice; with or without a checksum."""
    text = content.decode()
    lines = [text] if text[1:2] in "\n" else text.splitlines()  # what is indented is one value
    number = chance.randrange(len(lines))
    values = list(map(json.loads, lines))
    value = values[number]
    for container in [*values, *(each for each, _ in places(values))]:
        if isinstance(container, dict):
            container.pop(files.SEAL, None)
    lines = list(map(json.dumps, values))
    for _ in range(chance.choice((1, 1, 1, 3))):
        if not (there := places(value)):
            break
        container, key = chance.choice(there)
        kind = chance.randrange(4)
        if kind == 0 and isinstance(container, dict):
            del container[key]
        elif kind == 1:
            other, place = chance.choice(there)
            container[key] = json.loads(json.dumps(other[place])) if place in dict(pairs(other)) else None
        elif kind == 2 and isinstance(container[key], list) and container[key]:
            container[key] = container[key][:-1] + container[key] * chance.choice((0, 1, 3))
        else:
            container[key] = chance.choice(STRANGE)
    is_sealed = len(lines) == 1 and isinstance(value, dict) and chance.random() < 0.5
    lines[number] = json.dumps(files.sealed(value) if is_sealed else value)
    return "\n".join(lines).encode() + b"\n"


def pairs(container):
    return container.items() if isinstance(container, dict) else enumerate(container)


def other_text(content, chance):
    """Text into which words and signs are put that mean something to readers."""
    text = content.decode(errors="replace")
    for _ in range(chance.choice((1, 1, 1, 3))):
        place = chance.randrange(len(text) + 1)
        text = text[:place] + chance.choice(CUTS) + text[place + chance.choice((0, 0, 1, 3)) :]
    return text.encode()


def changed(reader, chance):
    """One of a reader's contents, changed."""
    content = chance.choice(reader.seeds)
    if reader.is_json and chance.random() < 0.7:
        return other_json(content, chance)
    if reader.is_text and chance.random() < 0.7:
        return other_text(content, chance)
    for _ in range(chance.choice((1, 1, 2, 4))):
        content = bytes(chance.choice(DAMAGES)(bytearray(content), chance)) if content else content
    return content


def late(number, frame):
    raise TimeoutError(LATE)  # an OSError, so that it passes through what readers catch, and is told by its text


def trial(reader, content, home):
    """``value`` or ``refused``; else what is wrong."""
    path = home / reader.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            reader.read(path)
        return "value"
    except (ValueError, OSError) as error:
        said = str(error)
        if LATE in said:
            return f"took {SECONDS} s"
        return "refused" if said.strip() else f"says nothing: {type(error).__name__}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        where = traceback.extract_tb(error.__traceback__)
        ours = [f"{Path(f.filename).name}:{f.lineno}" for f in where if "codistill" in f.filename]
        return f"{type(error).__name__}: {str(error)[:100]!r} at {', '.join(ours[-2:])}"
    finally:
        signal.alarm(0)


# Readers ------------------------------------------------------------------------------------------------------------


def of_runs(home):
    """The files of the folders of a run and a comparison."""
    from codistill.analysis.curves import epoch_lines
    from codistill.checkpoint import load, read_runs
    from codistill.cli.commands.verify import verify
    from codistill.deployment.choice import validation
    from codistill.description import read_description
    from codistill.locks import holder
    from codistill.study import load as load_study
    from codistill.study.chapters import Chapters, load_chapters, names_of
    from codistill.study.results import read_results
    from codistill.study.summary import Summary
    from codistill.training.decisions import read_decisions
    from codistill.training.records import cut_log, epochs_of, read_diverged, read_log
    from codistill.training.sizes import sizes_of
    from crash_points import BASE, compares, trains

    run, study = home / "run", home / "study"
    trains(BASE)(run)
    compares(["dml"], report=False)(study)
    newest = max((run / "checkpoints").iterdir())
    chapters = Chapters({"one": load_study(study)}, "codistill compare")

    def seeds(*paths):
        return tuple(path.read_bytes() for path in paths)

    def log(path):
        cut_log(path, 2)
        lines = read_log(path.parent)
        epoch_lines(lines), sizes_of(path.parent), validation(path.parent, 0, 2), epochs_of(path.parent, {"dml": "dml"})

    def checkpoint(path):
        if path.name != "state.json":
            without = {k: v for k, v in facts.items() if k not in ("sha256", "crc32")}
            (path.parent / "state.json").write_text(json.dumps(without))
        for other in ("peers.safetensors", "state.safetensors"):
            if path.name != other:
                (path.parent / other).write_bytes((newest / other).read_bytes())
        load(path.parent)

    def teacher(path):
        (path.parent / "study.json").write_bytes((study / "study.json").read_bytes())
        list(verify(path.parent))

    facts = json.loads((newest / "state.json").read_text())
    about = newest.name
    yield Reader("a/runs.json", seeds(run / "runs.json"), lambda path: read_runs(path.parent), is_json=True)
    yield Reader("b/networks.json", seeds(run / "networks.json"), lambda p: read_description(p.parent), is_json=True)
    yield Reader("c/log.jsonl", seeds(run / "log.jsonl"), log, is_json=True)
    yield Reader("d/results.jsonl", seeds(run / "results.jsonl"), lambda p: read_results(p.parent), is_json=True)
    yield Reader("e/study.json", seeds(study / "study.json"), lambda p: load_study(p.parent), is_json=True)
    yield Reader("f/summary.json", seeds(study / "summary.json"), Summary.read, is_json=True)
    many = (json.dumps(dict(chapters.as_dict())).encode(),)
    yield Reader("g/chapters.json", many, lambda p: (names_of(p.parent), load_chapters(p.parent)), is_json=True)
    yield Reader("h/costs.json", seeds(study / "costs.json"), teacher, is_json=True)
    yield Reader(f"i/{about}/state.json", seeds(newest / "state.json"), checkpoint, is_json=True)
    yield Reader(f"j/{about}/peers.safetensors", seeds(newest / "peers.safetensors"), checkpoint)
    yield Reader(f"k/{about}/state.safetensors", seeds(newest / "state.safetensors"), checkpoint)
    decided = seeds(run / "decisions.safetensors")
    yield Reader("l/decisions.safetensors", decided, lambda path: read_decisions(path.parent))
    yield Reader("m/diverged.json", (b'{"0": "it diverged"}',), lambda p: read_diverged(p.parent), is_json=True)
    yield Reader("n/.lock", (b'{"pid": 1, "host": "a", "boot": "b"}',), lambda p: holder(p.parent), is_json=True)


def of_weights(home):
    """Files of weights that training may start from, and those of a shared folder."""
    import torch
    from safetensors.torch import save

    from codistill.exchange.shared_folder import SharedFolder
    from codistill.training.initial_weights import weights_of

    tensors = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.zeros(2), "n": torch.tensor(3)}
    new, old = io.BytesIO(), io.BytesIO()
    torch.save({"state_dict": tensors}, new)
    torch.save(tensors, old, _use_new_zipfile_serialization=False)
    yield Reader("weights.pt", (new.getvalue(), old.getvalue()), weights_of)
    yield Reader("weights.safetensors", (save(tensors),), weights_of)
    left = (save(tensors, {"run": "it", "written": "1.5"}),)
    shared = Reader("s/peer-0.step-00000003.safetensors", left, lambda p: SharedFolder(p.parent, (1,)).newest(0, "it"))
    yield shared


def of_data(home):
    """Data sets and what belongs to them."""
    import gzip
    import struct
    import tarfile
    import zipfile

    from PIL import Image

    from codistill.data.cifar import cifar10, cifar100
    from codistill.data.download import extract
    from codistill.data.images.cut import Cut
    from codistill.data.mnist import read_idx
    from codistill.data.noise.file import file as noise
    from codistill.data.table import _class_names
    from codistill.data.text.rows import Columns, usable

    idx = bytes((0, 0, 8, 3)) + struct.pack(">3I", 2, 3, 4) + bytes(range(24))
    yield Reader("images-idx3", (idx,), lambda path: read_idx(path, 3))
    yield Reader("images-idx3.gz", (gzip.compress(idx),), lambda path: read_idx(path, 3))

    def cifar(path):
        for name in ("train.bin", "test.bin"):
            if name != path.name:
                (path.parent / name).write_bytes(bytes([1, 2]) + bytes(3072))
        (path.parent / "fine_label_names.txt").write_text("a\nb\nc\n")
        cifar100(path.parent)

    yield Reader("cifar/train.bin", ((bytes([1, 2]) + bytes(3072)) * 2,), cifar)
    yield Reader("official/data_batch_1", (b"\x80\x02}q\x00(U\x06labelsq\x01]q\x02K\x01au.",), _official(cifar10))

    for kind in ("png", "jpeg", "gif", "bmp", "tiff", "webp", "ppm"):
        images = []
        for mode in ("RGB", "L"):
            to = io.BytesIO()
            Image.effect_noise((24, 16), 50).convert(mode).save(to, kind)
            images.append(to.getvalue())
        yield Reader(f"image.{kind}", tuple(images), lambda path: Cut(16, 16).read(path))

    rows = b'text,label,who\nsome words,good,a\n"more, words",bad,b\n,good,c\n'
    columns = Columns("text", "label", group="who")
    yield Reader("table.csv", (rows,), lambda p: usable(p, list(columns.rows(p)), skip_bad=True), is_text=True)
    tabs = b'some words\tgood\na "quoted" word\tbad\n\tgood\n'
    plain = Columns("1", "2", quotes=False, header=False)
    yield Reader("table.tsv", (tabs,), lambda p: usable(p, list(plain.rows(p)), skip_bad=False), is_text=True)
    yield Reader("names.txt", (b"bad\ngood\n",), lambda p: _class_names(p, ("bad", "good")), is_text=True)
    labels = (b"index,label\n0,1\n2,0\n", b"1\n0\n1\n")

    def noisy(path):
        import torch

        noise(str(path))(torch.tensor([0, 1, 0]), 2, torch.Generator())

    yield Reader("noise.csv", labels, noisy, is_text=True)
    yield Reader("groups.csv", (b"path,group\na/1.png,x\na/2.png,y\n",), _groups(home), is_text=True)

    to = io.BytesIO()
    with tarfile.open(fileobj=to, mode="w:gz") as tar:
        for name in ("a/one", "a/two"):
            member = tarfile.TarInfo(name)
            member.size = 100
            tar.addfile(member, io.BytesIO(bytes(100)))
    packed, to = to.getvalue(), io.BytesIO()
    with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/one", bytes(100))

    def unpack(path):
        with tempfile.TemporaryDirectory(dir=home) as out:
            extract(path, Path(out))

    yield Reader("set.tar.gz", (packed,), unpack)
    yield Reader("set.tar", (gzip.decompress(packed),), unpack)
    yield Reader("set.zip", (to.getvalue(),), unpack)
    yield from _of_texts()


def _official(cifar10):
    def read(path):
        for number in range(1, 6):
            if path.name != f"data_batch_{number}":
                (path.parent / f"data_batch_{number}").write_bytes(b"")
        for name in ("test_batch", "batches.meta"):
            (path.parent / name).write_bytes(b"")
        cifar10(path.parent)

    return read


def _groups(home):
    from codistill.data.grouping import groups_of_files
    from codistill.data.images.lazy import FileNames

    files = FileNames.of(home, ["a/1.png", "a/2.png"])
    return lambda path: groups_of_files("folder", files, str(path))


def _of_texts():
    """Parquet, tokenizers and word vectors, where their libraries are installed."""
    from importlib.util import find_spec

    from codistill.data.text.rows import Columns

    if find_spec("pyarrow"):
        import pyarrow
        from pyarrow import parquet

        to = io.BytesIO()
        parquet.write_table(pyarrow.table({"text": ["a", "b"], "label": [0, 1]}), to)
        yield Reader("table.parquet", (to.getvalue(),), lambda p: list(Columns("text", "label").rows(p)))
    if find_spec("tokenizers"):
        from codistill.data.text.tokenizer import encode, fit_length, read_tokenizer, train_tokenizer
        from codistill.data.text.vectors import read_vectors

        tokenizer = train_tokenizer(["some words", "more words"], 30, "words", 1, True)
        fitted = tokenizer.to_str().encode()

        def tokens(path):
            found = read_tokenizer(path)
            fit_length(found, 8)
            encode(found, ["some words"])

        yield Reader("tokenizer.json", (fitted,), tokens, is_json=True)
        lines = b"some 0.5 1.5\nwords 1 2\n"
        yield Reader("vectors.txt", (lines,), partial(read_vectors, tokenizer=tokenizer), is_text=True)


def of_texts(home):
    """What is written on the command line or stands in a file as text."""
    from codistill.graph import named
    from codistill.methods import get
    from codistill.run import Run
    from codistill.spec import Spec, parse_value

    specs = (b"dml:weight=2,graph=ring", b"cnn:width=4", b"module:Name,a=1e3,b=none", b"symmetric:0.2")
    yield Reader("spec", specs, lambda path: str(Spec.of(path.read_text())), is_text=True)
    graphs = (b"ring", b"complete:total=sum", b"star", b"none")
    yield Reader("graph", graphs, lambda path: named(path.read_text()).matrix(3), is_text=True)
    methods = (b"dml:weight=2,graph=ring", b"kdcl:temperature=2", b"alone", b"pskd:alpha=0.8", b"okddip:weight=1")
    yield Reader("method", methods, lambda path: get(path.read_text()), is_text=True)
    runs = (b"digits labels=40 models=cnn:width=4 schedule=cosine noise=symmetric:0.2 shards=dirichlet:0.5",)

    def run(path):
        data, *others = path.read_text().split() or [""]
        settings = {key: parse_value(value) for key, _, value in (other.partition("=") for other in others)}
        models = {"models": [settings.pop("models")]} if "models" in settings else {}
        Run.from_dict({"data": data, **models, **settings})

    yield Reader("run", runs, run, is_text=True)


def readers(home):
    """All of them; `home` is a folder for what they need."""
    for kind in (of_runs, of_weights, of_texts, of_data):
        yield from kind(home)


def fuzz(reader, home, *, seed=0, trials=None, seconds=None):
    """Try one reader so many times, or so long: how often, how many ended in a value, and what failed."""
    chance = random.Random(f"{reader.name} {seed}")
    end, count, values, failures = time.monotonic() + (seconds or 1e9), 0, 0, {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while (trials is None or count < trials) and time.monotonic() < end:
            content = changed(reader, chance)
            outcome = trial(reader, content, home)
            count += 1
            values += outcome == "value"
            if outcome not in ("value", "refused"):
                failures.setdefault(outcome, repr(content[:300]))
    return {"reader": reader.name, "trials": count, "values": values, "failures": failures}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="for all readers together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="readers whose names hold one of these")
    given = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as home, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        every = [r for r in readers(Path(home)) if not given.only or any(word in r.name for word in given.only)]
        for reader in every:
            found = fuzz(reader, Path(home, "tried"), seed=given.seed, seconds=60 * given.minutes / len(every))
            print(json.dumps(found), flush=True)
            failed |= bool(found["failures"])
    sys.exit(failed)


if __name__ == "__main__":
    main()
