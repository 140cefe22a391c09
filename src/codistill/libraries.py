"""Libraries that come with an extra of this package, and what errors of others say in one line."""

import importlib
from types import ModuleType

import torch


def needed(module: str, extra: str, user: str = "") -> ModuleType:
    """A library's module; an ImportError that names the extra, where it is missing or does not go with this torch.

    Args:
        module: of the library.
        extra: of this package, with which it is installed.
        user: what needs it, where the library's name does not say so.
    """
    library = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except Exception as error:  # a build for another torch fails with whatever comes first
        why = f"cannot be imported beside torch {torch.__version__} ({said_by(error)})"
        if isinstance(error, ModuleNotFoundError) and error.name in (module, library):
            why = "is not installed"
        what = f"{user} needs {library}, which" if user else library
        raise ImportError(f"{what} {why}: pip install 'codistill[{extra}]'") from error


def said_by(error: BaseException) -> str:
    """An error's kind and the first line of what it says, or two where it ends in a colon."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = " ".join(lines[:2]) if lines and lines[0].endswith(":") else "".join(lines[:1])
    return ": ".join(filter(None, (type(error).__name__, said)))
