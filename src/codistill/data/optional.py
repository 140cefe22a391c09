"""Libraries that come with the extra ``text``."""

from importlib import import_module
from typing import Any


def optional(library: str, user: str) -> Any:
    """A library, imported; an ImportError that says how to install it, where it is not.

    Args:
        library: Its name.
        user: What needs it.
    """
    try:
        return import_module(library)
    except ImportError as error:
        raise ImportError(f"{user} needs {library}: pip install 'codistill[text]'") from error
