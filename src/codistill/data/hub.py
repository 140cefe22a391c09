"""How the `datasets` library is asked for a data set: from a folder, from what is on this machine, or the network."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from codistill.data.hf_files import fault, reason

PATIENCE = 10  # seconds for the hub's first answer
SAVED = ("dataset_dict.json", "state.json")  # what save_to_disk leaves in a folder


def parts_of(name: str, root: Path, config: str | None, download: bool) -> Mapping[str, Any]:
    """The parts of a data set by their names, each a `datasets.Dataset`.

    A folder of that name goes first, below ``root`` or by its path. Without ``download`` nothing is asked of the
    network; with it, one question is asked before the library tries on its own for half a minute.

    Raises:
        FileNotFoundError: it is not on this machine and ``download`` is off.
        OSError: the hub cannot be reached.
        ValueError: there is no such data set or configuration, or it is damaged; of a folder, with the file and the
            line where they can be told.
        ImportError: `datasets` is not installed.
    """
    datasets = library()
    local = folder_of(name, root)
    if local is None and download:
        _reach(import_module("huggingface_hub").constants.ENDPOINT)
    try:
        if local is not None and any((local / file).is_file() for file in SAVED):
            found = datasets.load_from_disk(str(local))
        elif local is not None or download:
            found = datasets.load_dataset(str(local or name), config)
        else:
            with _offline(datasets):
                found = datasets.load_dataset(name, config)
    except ConnectionError as error:
        if download:
            raise OSError(f"hf: {name} cannot be fetched ({error}): check the network and the name") from error
        raise FileNotFoundError(
            f"hf: {name} is not on this machine, neither as a folder ({root / name}) nor fetched before: "
            "check the name, or have it fetched (--download)"
        ) from error
    except Exception as error:  # the library raises whatever its readers raise
        raise ValueError(f"hf: {name} cannot be read: {_why(error, local)}") from error
    return found if isinstance(found, Mapping) else {"train": found}


def folder_of(name: str, root: Path) -> Path | None:
    """The folder of that name, below ``root`` or by its path; None where there is none."""
    return next((path for path in (root / name, Path(name)) if path.is_dir()), None)


def _why(error: Exception, folder: Path | None) -> str:
    """What ended the reading: the file of a folder, where it is one that cannot be read; else in the reader's words."""
    said = reason(error)
    of_a_file = isinstance(error, library().exceptions.DatasetGenerationError | import_module("pyarrow").ArrowException)
    wrong = fault(folder, said) if folder is not None and of_a_file else None
    if wrong is None:
        return said
    return f"{wrong if said in wrong else f'{wrong} ({said})'}: repair it"


def library() -> ModuleType:
    """The `datasets` library; an ImportError that says how to install it, where it is not."""
    try:
        return import_module("datasets")
    except ImportError as error:
        raise ImportError("hf needs the datasets library: pip install 'codistill[text]'") from error


def _reach(address: str) -> None:
    """An OSError at once, where there is no way to the hub."""
    try:
        urlopen(Request(address, method="HEAD"), timeout=PATIENCE).close()
    except HTTPError:
        return  # it has answered
    except (OSError, ValueError) as error:
        raise OSError(
            f"hf: {address} cannot be reached ({error}): check the network, or name a folder that holds the data set"
        ) from error


@contextmanager
def _offline(datasets: ModuleType) -> Iterator[None]:
    """Only what is on this machine, while this lasts; both libraries read their variables once, on import."""
    places = [(datasets.config, "HF_HUB_OFFLINE"), (datasets.config, "HF_DATASETS_OFFLINE")]
    places.append((import_module("huggingface_hub").constants, "HF_HUB_OFFLINE"))
    before = [getattr(place, setting, None) for place, setting in places]
    for place, setting in places:
        setattr(place, setting, True)
    try:
        yield
    finally:
        for (place, setting), value in zip(places, before, strict=True):
            setattr(place, setting, value)
