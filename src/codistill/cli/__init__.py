"""The command line. Torch is imported only by what needs it, so that help is instant."""

import dataclasses
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tyro

from codistill.cli.commands import COMMANDS
from codistill.cli.given import given_of
from codistill.run import Run
from codistill.spec import UnknownName


def main(argv: Sequence[str] | None = None) -> None:
    """The program ``codistill``."""
    argv = list(sys.argv[1:] if argv is None else argv)
    _suggest(argv)
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # module:Name may be a file of the folder that one is in
    words = [re.sub(r"^(--[\w-]+=)?none$", r"\1None", word) for word in argv]  # as specs write it
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        _obey(words, argv)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """One line for whoever typed the command; where in the code it was said does not help them."""
    print("codistill: warning:", " ".join(str(message).split()), file=sys.stderr)


def _obey(words: Sequence[str], argv: Sequence[str]) -> None:
    """Run the command; what went wrong is one line, and exit code 1."""
    try:
        command: Callable[..., None] = tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="codistill", description="Networks that learn together.", args=words
        )
        from rich.console import Console

        console = Console(highlight=False, soft_wrap=False)
        command(console, given_of(command, argv), " ".join(["codistill", *argv]))
    except KeyboardInterrupt:
        raise SystemExit("codistill: interrupted") from None
    except (ValueError, ArithmeticError, ImportError, OSError) as error:
        raise SystemExit(f"codistill: error: {error}") from None


def _suggest(argv: Sequence[str]) -> None:
    """A misspelt command, or setting of one, gets the nearest valid one."""
    if not argv or argv[0].startswith("-"):
        return
    if argv[0] not in COMMANDS:
        raise SystemExit(f"codistill: error: {UnknownName('command', argv[0], COMMANDS)}")
    said = [word.partition("=")[0] for word in argv[1:] if word.startswith("--")]
    valid = _flags(COMMANDS[argv[0]])
    for flag in said:
        if flag.replace("_", "-") not in valid:
            raise SystemExit(f"codistill: error: {UnknownName(f'setting of {argv[0]}', flag, valid)}")


def _flags(command: Any) -> set[str]:
    """Every ``--flag`` of a command."""
    flags = {"--help"}
    for own in dataclasses.fields(command):
        names = [f.name for f in dataclasses.fields(Run)] if own.name == "settings" else [own.name]
        flags |= {"--" + name.replace("_", "-") for name in names}
    switches = {f.name for f in (*dataclasses.fields(command), *dataclasses.fields(Run)) if isinstance(f.default, bool)}
    return flags | {f"--no-{n.replace('_', '-')}" for n in switches if f"--{n.replace('_', '-')}" in flags}


__all__ = ["main"]
