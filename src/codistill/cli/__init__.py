"""The command line. Torch is imported only by what needs it, so that help is instant."""

import dataclasses
import os
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tyro

from codistill.cli.chapters import CompareSeveral
from codistill.cli.commands import COMMANDS
from codistill.cli.hints import as_options, check_lists, spelled_here
from codistill.cli.settings import REGISTRY, defaults


def main(argv: Sequence[str] | None = None) -> None:
    """The program ``codistill``."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # module:Name may be a file in the current folder
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        _obey(argv)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """One line for whoever typed the command; where in the code it was raised does not help them."""
    print("codistill: warning:", " ".join(str(message).split()), file=sys.stderr)


def _obey(argv: Sequence[str]) -> None:
    """Run the command; an error is one line and exit code 1, or a traceback where ``CODISTILL_DEBUG`` is set."""
    try:
        command = _parse(argv)
        from rich.console import Console

        command(Console(highlight=False, soft_wrap=False), " ".join(["codistill", *argv]))
    except KeyboardInterrupt:
        raise SystemExit("codistill: interrupted") from None
    except (ValueError, ArithmeticError, ImportError, OSError) as error:
        if os.environ.get("CODISTILL_DEBUG"):
            raise
        raise SystemExit(f"codistill: error: {as_options(str(error))}") from None


def _parse(argv: Sequence[str]) -> Any:
    """The command with its options; help, a misspelt option and the like end the program."""
    if list(argv) == ["--version"]:
        print(f"codistill {version('codistill')}")
        raise SystemExit(0)
    command = COMMANDS.get(argv[0]) if argv else None
    if command is None:  # help, or no such command
        return tyro.extras.subcommand_cli_from_dict(
            COMMANDS, prog="codistill", description="Networks that learn together.", args=argv
        )
    bases: list[Any] = [tyro.MISSING_NONPROP]
    check_lists(argv)
    if "settings" in (field.name for field in dataclasses.fields(command)):
        argv = spelled_here(argv)
        bases = [command(settings=base) for base in defaults(argv, argv[0])]
    how: Any = {"prog": f"codistill {argv[0]}", "args": argv[1:], "registry": REGISTRY}
    parsed = [tyro.cli(command, default=base, **how) for base in bases]
    return parsed[0] if len(parsed) == 1 else CompareSeveral(parsed)
