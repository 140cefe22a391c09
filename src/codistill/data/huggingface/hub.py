"""Loading by the `datasets` library: from a folder, from what is on this machine, or from the network."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from codistill.libraries import needed

PATIENCE = 10  # seconds for the hub's first answer
SAVED = ("dataset_dict.json", "state.json")  # what save_to_disk leaves in a folder
READERS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet"}
SAYS_NOTHING = "An error occurred while generating the dataset"
LENGTH = 300  # characters of an error that are shown


def load_splits(name: str, root: Path, config: str | None, download: bool) -> Mapping[str, Any]:
    """The splits of a data set by their names, each a `datasets.Dataset`.

    A folder of that name goes first, below ``root`` or by its path. Without ``download`` the network is not used;
    with it, the hub is tried once before the library retries for half a minute.

    Raises:
        FileNotFoundError: it is not on this machine and ``download`` is off.
        OSError: the hub cannot be reached.
        ValueError: there is no such data set or configuration, or it is damaged; of a folder, names the file.
        ImportError: `datasets` is not installed.
    """
    datasets = needed("datasets", "text", "hf")
    folder = folder_of(name, root)
    if folder is None and download:
        _reach(import_module("huggingface_hub").constants.ENDPOINT)
    try:
        if folder is not None and any((folder / file).is_file() for file in SAVED):
            splits = datasets.load_from_disk(str(folder))
        else:
            with nullcontext() if folder or download else _offline(datasets):
                splits = datasets.load_dataset(str(folder or name), config)
    except ConnectionError as error:
        if download:
            raise OSError(f"hf: {name} cannot be fetched ({error}): check the network and the name") from error
        places = f"neither as a folder ({root / name}) nor from an earlier download"
        ways = "check the name, or fetch it (--download)"
        raise FileNotFoundError(f"hf: {name} is not on this machine, {places}: {ways}") from error
    except Exception as error:  # the library raises whatever its readers raise
        file = None if folder is None else _broken_file(datasets, folder)
        raise ValueError(f"hf: {name} cannot be read: {file or _reason(error)}: repair it") from error
    return splits if isinstance(splits, Mapping) else {"train": splits}


def folder_of(name: str, root: Path) -> Path | None:
    """The folder of that name, below ``root`` or by its path; None where there is none."""
    return next((path for path in (root / name, Path(name)) if path.is_dir()), None)


def _broken_file(datasets: Any, folder: Path) -> str | None:
    """The first file of a folder that cannot be read by itself, and why; None where all can."""
    with tempfile.TemporaryDirectory() as scratch:
        for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in READERS):
            suffix = path.suffix.lower()
            reader, options = READERS[suffix], {"sep": "\t"} if suffix == ".tsv" else {}
            try:
                datasets.load_dataset(reader, data_files=str(path), cache_dir=scratch, split="train", **options)
            except Exception as error:  # as above
                return f"{path}: {_reason(error)}"
    return None


def _reason(error: BaseException) -> str:
    """What a reader itself says is wrong, on one line, below what the library has wrapped around it."""
    text = " ".join(str(error).removeprefix(SAYS_NOTHING).split())
    if not text:
        return _reason(error.__cause__) if error.__cause__ else type(error).__name__
    return text if len(text) <= LENGTH else f"{text[:LENGTH]} ..."


def _reach(address: str) -> None:
    """An OSError at once, where there is no way to the hub."""
    try:
        urlopen(Request(address, method="HEAD"), timeout=PATIENCE).close()
    except HTTPError:
        return  # it has answered
    except (OSError, ValueError) as error:
        ways = "check the network, or name a folder that holds the data set"
        raise OSError(f"hf: {address} cannot be reached ({error}): {ways}") from error


@contextmanager
def _offline(datasets: Any) -> Iterator[None]:
    """Only what is on this machine, while this lasts; both libraries read their variables once, on import."""
    hub = import_module("huggingface_hub").constants
    switches = [(datasets.config, "HF_HUB_OFFLINE"), (datasets.config, "HF_DATASETS_OFFLINE"), (hub, "HF_HUB_OFFLINE")]
    before = [getattr(module, setting, None) for module, setting in switches]
    for module, setting in switches:
        setattr(module, setting, True)
    try:
        yield
    finally:
        for (module, setting), value in zip(switches, before, strict=True):
            setattr(module, setting, value)
