"""Open the networks of a run's folder, of a comparison's part, or of a row of a comparison."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from codistill import checkpoint
from codistill.cohort import Cohort
from codistill.deployment.choice import Choice, choose, lines
from codistill.deployment.exported import check_is_no_program, exported_choice, exported_weights
from codistill.deployment.preprocessing import Preprocessing
from codistill.deployment.trained import Trained, module_of
from codistill.description import Description, Network, read_description
from codistill.devices import device_named
from codistill.spec import Spec, UnknownName


@dataclass(frozen=True)
class Opened:
    """One run of a folder: its networks, and where they are.

    Attributes:
        folder: the fleet's, which holds the checkpoint.
        about: what the folder says of its networks.
        run: number of the run in it.
    """

    folder: Path
    about: Description
    run: int

    @property
    def numbers(self) -> list[int]:
        """Of its networks, as the checkpoint counts."""
        return [number for number, network in enumerate(self.about.networks) if network.run == self.run]

    @property
    def networks(self) -> list[Network]:
        """Its networks, in their order."""
        return [self.about.networks[number] for number in self.numbers]


def load(
    run: str | Path,
    network: int | str = "best",
    *,
    row: str | None = None,
    seed: int | None = None,
    networks: Sequence[nn.Module] | None = None,
    trust: bool = False,
    device: str = "cpu",
) -> Trained:
    """A trained network as an ordinary module, in eval mode, with `preprocess` and `classes`.

    ``net = load("runs/mine")``, then ``net.probabilities(net.preprocess("new.png"))``.

    Args:
        run: the folder of a run, of a comparison's part, of a comparison, or of an export to safetensors.
        network: its number in the run; a model's spec (of several such the best on validation data); ``best``: the
            best of all on validation data, network 0 where nothing was measured on any; ``ensemble``: all of them as
            one module, see `Ensemble`.
        row: of a comparison, as ``results.jsonl`` calls it (``entry``), or a method alone.
        seed: of a folder with several; None: the first.
        networks: in place of the networks' specs, untrained modules for all peers of the run in order; they receive
            the trained weights.
        trust: whether to import a module of the user's own that a spec names, ``my_nets:Net``, which runs its code.
        device: where it computes, as of `Run.device`; it takes inputs from anywhere.

    Raises:
        FileNotFoundError: no such folder, no checkpoint in it, or a file that older versions did not write.
        ValueError: a choice that is not there, a damaged file, networks that do not fit, or code that is not trusted.
    """
    place = device_named(device)
    cohort = opened(Path(run), row, seed)
    choice = exported_choice(cohort.folder, network) or choose(cohort.folder, cohort.networks, cohort.run, network)
    return built(cohort, choice, networks, trust=trust).to(place)


def opened(run: Path, row: str | None = None, seed: int | None = None) -> Opened:
    """A run of a folder; arguments and errors as of `load`."""
    if (run / "chapters.json").is_file():
        names = sorted(path.parent.name for path in run.glob("*/study.json"))
        raise ValueError(f"{run} holds several comparisons: give one of them, such as {run / (names or ['NAME'])[0]}")
    check_is_no_program(run)
    if (run / "study.json").is_file():
        return _of_study(run, row, seed)
    about = read_description(run)
    runs = {network.run: network for network in about.networks}
    fitting = {
        number: network
        for number, network in runs.items()
        if (row is None or _is_called(row, network.method)) and seed in (None, network.seed)
    }
    if not fitting or (row is None and len({network.method for network in fitting.values()}) > 1):
        there = ", ".join(f"row={network.method!r} seed={network.seed}" for network in runs.values())
        raise ValueError(f"row={row!r}, seed={seed}: {run} has {len(runs)} runs: {there}")
    return Opened(run, about, min(fitting, key=lambda number: fitting[number].seed))


def _of_study(folder: Path, row: str | None, seed: int | None) -> Opened:
    """The run of a comparison's row."""
    runs = list(_runs_of_study(folder))
    names = list(dict.fromkeys(entry for entry, *_ in runs))
    if row is None:
        raise ValueError(f"{folder} is a comparison: say which row, such as row={names[-1]} ({', '.join(names)})")
    chosen = [row] if row in names else [name for name in names if _is_called(row, name)]
    if not chosen:
        raise UnknownName(f"row of {folder}", row, names)
    if len(chosen) > 1:
        raise ValueError(f"row={row!r}: {folder} has several: give one of {', '.join(map(repr, chosen))}")
    fitting = [run for run in runs if run[0] == chosen[0] and seed in (None, run[1])]
    if not fitting:
        seeds = sorted({run[1] for run in runs if run[0] == chosen[0]})
        raise ValueError(f"seed={seed}: row {chosen[0]!r} of {folder} has the seeds {', '.join(map(str, seeds))}")
    _, _, part, number = min(fitting, key=lambda run: run[1])
    return Opened(part, read_description(part), number)


def _runs_of_study(folder: Path) -> Iterator[tuple[str, int, Path, int]]:
    """The row, the seed, the part's folder and the number in it of each run of a finished comparison.

    The comparison's results are those of its parts one after the other, each with its row.
    """
    if not (folder / "results.jsonl").is_file():
        raise FileNotFoundError(f"{folder} is not finished: codistill resume {folder}, or give one of its parts/NNN")
    of_parts = [(part, line) for part in sorted(folder.glob("parts/*")) for line in lines(part / "results.jsonl")]
    seen = set()
    for (part, line), named in zip(of_parts, lines(folder / "results.jsonl"), strict=False):
        run = str(named.get("entry", "")), int(line["seed"]), part, int(line["number"])
        if run not in seen:
            seen.add(run)
            yield run


def _is_called(row: str, name: str) -> bool:
    """Whether a row is meant by a name: its own, or that of its method."""
    return row == name or row == Spec.of(name).name


def built(
    cohort: Opened, choice: Choice, networks: Sequence[nn.Module] | None = None, *, trust: bool = False
) -> Trained:
    """What was chosen of a run as a module; arguments and errors as of `load`."""
    folder, about = cohort.folder, cohort.about
    if networks is not None and len(networks) != len(cohort.numbers):
        raise ValueError(f"{len(networks)} networks were given for the {len(cohort.numbers)} peers of {folder}")
    exported = exported_weights(folder)
    delivered, unfinished = exported or _of_checkpoint(folder)
    nets, of_silo = [], _only_peer(delivered) if len(about.networks) == 1 else None
    for peer in choice.peers:
        number = cohort.numbers[peer]
        net = about.network(number, folder, trust=trust) if networks is None else networks[peer]
        loaded = Cohort([net], precision="float64" if about.precision == "float64" else "float32")
        state = checkpoint.under(f"{number if of_silo is None else of_silo}.", delivered)
        if exported:  # a state dict, without the buffers that are no part of one
            saved = net.state_dict()
            state |= {name: tensor for name, tensor in loaded.peer_state(0).items() if name not in saved}
        try:
            loaded.load_peer_state(0, state)
        except ValueError as error:
            reason = str(error).removeprefix("peer 0: ")
            raise ValueError(f"network {peer} of {folder} ({cohort.networks[peer].model}): {reason}") from None
        nets.append(net)
    module = module_of(nets, about.embedding, about.task, ensemble=choice.ensemble)
    return Trained(module, Preprocessing.of(about, folder), choice.name, choice.why + unfinished)


def _of_checkpoint(folder: Path) -> tuple[checkpoint.Tensors, str]:
    """The delivered weights of a run's newest checkpoint, and what is to be said where the run is not finished."""
    newest = checkpoint.latest(folder)
    if newest is None:
        raise FileNotFoundError(f"{folder} has no checkpoint yet: codistill resume {folder}")
    saved = checkpoint.load(newest)
    steps = saved.facts["step"], saved.facts.get("steps", saved.facts["step"])
    unfinished = "" if steps[0] >= steps[1] else f"; the run is not finished: step {steps[0]} of {steps[1]}"
    return saved.delivered, unfinished


def _only_peer(tensors: Mapping[str, Tensor]) -> int | None:
    """The number of the only peer in a checkpoint, which is a silo's own among those of all; None of several."""
    numbers = {int(name.partition(".")[0]) for name in tensors}
    return numbers.pop() if len(numbers) == 1 else None
