"""What is recorded: the runs of every method, a few settings, a study, and a run that was killed and resumed.

This is the only file here that imports from codistill, and the only one that knows the layout of a run's folder.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from codistill import data, files
from codistill.discovery import available
from codistill.run import Run
from codistill.study import Study, compare
from codistill.training.loop import resume, train

METHODS = tuple(available("codistill.methods"))
EXECUTES = ("loop", "stack")
UPDATES = ("together", "in_turn", "fresh_batch")
STEPS, PEERS, SEED = 10, 3, 1

BASE = Run(
    peers=PEERS,
    models=("cnn:width=2",),
    labels=60,
    batch=12,
    epochs=2,
    seed=SEED,
    precision="float64",
    learning_rate=0.05,
    device="cpu",
)

# What a method cannot be run without.
VIEWS = {"augment": ("crop:pad=1",)}
BRANCHES = {"branch_at": "stage3"}
REQUIRED: dict[str, dict[str, object]] = {
    "clilr": BRANCHES,
    "ddgsd": VIEWS,
    "kdcl": VIEWS,
    "kdcl_general": VIEWS,
    "mmt": VIEWS,
    "one": BRANCHES,
    "pcl": VIEWS,
    "pseudo": {"unlabelled": 8},
}
TEACHER = "TEACHER"  # in a spec, the folder of a finished run
TAUGHT = ("afd", "at", "cml", "dist", "dkd", "fitnet", "kd", "logits", "lskd", "nst", "ofd", "rkd", "tfkd")

# Besides the defaults: method -> options, each run as a stack.
VARIANTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(TAUGHT, ("teacher=none",)),
    "alone": ("label_smoothing=0.1,confidence_penalty=0.1",),
    "cml": (
        "teacher=none",
        "teacher=none,divergence=symmetric_kl",
        f"teacher={TEACHER},temperature=2,graph=own,peer_graph=ring",
    ),
    "codistillation": ("burn_in=0.2,exchange_every=3", "burn_in=0,exchange=logits,temperature=2"),
    "ddgsd": ("detach=false,scaled=false",),
    "dml": (
        "divergence=js,temperature=2",
        "divergence=reverse_kl,graph=ring",
        "divergence=symmetric_kl,total=sum",
        "ramp=0.5,weight=0.5",
    ),
    "dml_ensemble": ("include_self=true", "mean=geometric,temperature=2"),
    "fitnet": ("teacher=none", "teacher=none,features=stage1/stage2,graph=ring"),
    "kd": ("teacher=none", f"teacher={TEACHER},graph=own", f"teacher={TEACHER},graph=ring"),
    "kdcl": ("ensemble=naive", "ensemble=linear"),
    "kdcl_general": ("held_out=0.3",),
    "ktg": ("gates=linear", "gates=correct,total=mean", f"teacher={TEACHER},gates=correct"),
    "mmt": ("own_views=false", "decay=0.5,ramp=0.5", "decay=0.5,graph=own,temperature=2"),
    "tfkd_reg": ("correct=0.9,temperature=2",),
    "udml": ("feature_weight=0.5,features=stage1/stage2", "divergence=symmetric_kl"),
}

# Settings of the run, each with some method: name -> method and settings, each run as a stack.
SETTINGS: dict[str, tuple[str, dict[str, object]]] = {
    "unlabelled": ("dml", {"unlabelled": 8}),
    "unlabelled, in turn": ("dml", {"unlabelled": 8, "update": "in_turn"}),
    "shards": ("codistillation:burn_in=0,exchange_every=2", {"shards": True, "labels": 180}),
    "views of their own": ("dml", {"own_views": True, **VIEWS}),
    "views of their own, fresh batches": ("dml", {"own_views": True, "update": "fresh_batch", **VIEWS}),
    "smoothing": ("dml", {"smoothing": 0.1}),
    "average, clip, adam": ("dml", {"average": 0.9, "clip": 0.5, "optimizer": "adam", "learning_rate": 0.01}),
    "warmup, linear, adamw": ("alone", {"warmup": 0.3, "schedule": "linear", "optimizer": "adamw"}),
    "heterogeneous": ("dml", {"models": ("cnn:width=2", "mlp:hidden=9", "cnn:width=2")}),
    "heterogeneous, in turn": ("dml", {"models": ("cnn:width=2", "mlp:hidden=9", "cnn:width=2"), "update": "in_turn"}),
    "heterogeneous features": (
        "fitnet:teacher=none,features=stage2",
        {"models": ("cnn:width=2", "cnn:width=3", "cnn:width=2")},
    ),
    "branches": ("dml", BRANCHES),
    "float32": ("dml", {"precision": "float32"}),
}


def load() -> data.DataSet:
    """The data set of all runs."""
    return data.load("digits")


def method_runs(method: str) -> Iterator[tuple[str, list[Run]]]:
    """Of a method, the name of each entry and the runs that are trained as one."""
    plain = f"{method}:teacher={TEACHER}" if method in TAUGHT else method
    required = REQUIRED.get(method, {})
    for execute in EXECUTES:
        for update in UPDATES:
            yield f"{execute}/{update}", [BASE.replace(method=plain, execute=execute, update=update, **required)]
    run = BASE.replace(method=plain, execute="stack", **required)
    yield "stack/together/two seeds", [run, run.replace(seed=SEED + 1)]
    for options in VARIANTS.get(method, ()):
        varied = BASE.replace(method=f"{method}:{options}", execute="stack", **required)
        yield f"stack/together/{options}", [varied]


def settings_runs() -> Iterator[tuple[str, list[Run]]]:
    """Of the settings, the name of each entry and the runs that are trained as one."""
    for name, (method, settings) in SETTINGS.items():
        yield f"stack/{name}", [BASE.replace(**{"method": method, "execute": "stack", **settings})]
    mixed = [
        BASE.replace(method=method, execute="stack")
        for method in ("alone", "dml", "dml:weight=2", "mmt:own_views=false")
    ]
    yield "stack/several methods", [*mixed, mixed[0].replace(peers=2), mixed[1].replace(peers=2)]
    yield "stack/several methods, in turn", [run.replace(update="in_turn") for run in mixed[:3]]


def make_teacher(folder: Path, dataset: data.DataSet) -> None:
    """A finished run, from which methods can learn."""
    for _ in train(BASE.replace(method="alone", execute="loop", epochs=1), folder, dataset=dataset, part=None):
        pass


def train_runs(
    runs: Sequence[Run], folder: Path, teacher: Path, dataset: data.DataSet
) -> list[list[dict[str, list[float]]]]:
    """Train runs as one; of each run and step, the terms, each a list over the run's peers.

    Raises:
        ValueError: the runs are refused.
    """
    runs = [run.replace(method=str(run.method).replace(TEACHER, str(teacher))) for run in runs]
    records = train(runs, folder, dataset=dataset, part=None)
    steps = [terms_by_run(record.terms, runs) for record in records if record.kind == "step"]
    return [list(of_run) for of_run in zip(*steps, strict=True)]


def terms_by_run(terms: Sequence[dict[str, Tensor]], runs: Sequence[Run]) -> list[dict[str, list[float]]]:
    """A step's terms, which come for each group of runs that differ in their seed alone, for each run.

    The runs of such a group have to be given one after the other.
    """
    groups: dict[Run, int] = {}
    for run in runs:
        key = run if len(terms) == len(runs) else run.replace(seed=0)
        groups[key] = groups.get(key, 0) + 1
    each: list[dict[str, list[float]]] = []
    for of_group, count in zip(terms, groups.values(), strict=True):
        values = {name: term.double().reshape(count, -1).tolist() for name, term in of_group.items()}
        each += [{name: value[i] for name, value in values.items()} for i in range(count)]
    return each


def interrupted_runs() -> Iterator[tuple[str, list[Run]]]:
    """Of the runs that are killed and resumed, the name of each entry and the runs that are trained as one."""
    base = BASE.replace(checkpoint_steps=7, average=0.9)
    codistillation = "codistillation:burn_in=0.2,exchange_every=3"
    methods = ("dml", "pskd", codistillation, "byot")
    yield "stack/together", [base.replace(method=method, execute="stack") for method in methods]
    yield "loop/in_turn", [base.replace(method=m, execute="loop", update="in_turn") for m in methods[:3]]


def leave_and_resume(runs: Sequence[Run], folder: Path, dataset: data.DataSet) -> None:
    """Leave a training in the middle of its second epoch, and go on from there to its end."""
    records = train(runs, folder, dataset=dataset, part=None)
    for record in records:
        if record.kind == "checkpoint":
            break
    records.close()
    assert record.step == 7
    for _ in resume(folder, dataset=dataset, part=None):
        pass


def final_tensors(folder: Path, runs: Sequence[Run]) -> tuple[list[list[dict[str, Tensor]]], dict[str, Tensor]]:
    """What a training ended with: of each run and peer its parameters and buffers, and the state of the methods."""
    newest = max((folder / "checkpoints").glob("step-*"))
    assert int(newest.name.removeprefix("step-")) == STEPS
    peers: dict[int, dict[str, Tensor]] = {}
    for key, tensor in load_file(newest / "peers.safetensors").items():
        _, peer, name = key.split(".", 2)
        peers.setdefault(int(peer), {})[name] = tensor
    each = iter([peers[peer] for peer in sorted(peers)])
    of_runs = [[next(each) for _ in range(run.peers)] for run in runs]
    state = load_file(newest / "state.safetensors")
    return of_runs, {name: t for name, t in state.items() if name.startswith("method.")}


def same_checkpoints(one: Path, other: Path) -> bool:
    """Whether two trainings ended with the same tensors: peers, optimizers, methods, averages and sums."""
    ends = [max((folder / "checkpoints").glob("step-*")) for folder in (one, other)]
    files = [[(end / f"{name}.safetensors").read_bytes() for name in ("peers", "state")] for end in ends]
    return ends[0].name == ends[1].name and files[0] == files[1]


def train_study(folder: Path) -> tuple[dict[str, object], bytes]:
    """A small comparison: its summary without what differs from time to time, and its lines of results."""
    base = BASE.replace(peers=2, epochs=1, execute="stack", augment=("crop:pad=1",))
    methods = ("dml", "dml:peers=3,update=in_turn", "kd:teacher=alone")
    study = Study(recipe="golden", base=base, rows=methods, seeds=(1, 2), notes=("A note.",))
    for _ in compare(study, folder):
        pass
    summary = files.read_json(folder / "summary.json")
    for varying in ("versions", "command"):
        del summary[varying]
    for row in summary["rows"]:
        row["cost"] = {name: cost for name, cost in row["cost"].items() if not name.startswith("seconds")}
    return summary, (folder / "results.jsonl").read_bytes()
