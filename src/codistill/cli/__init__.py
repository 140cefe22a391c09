"""The command line. Torch is imported only by what needs it, so that help is instant."""

import atexit
import dataclasses
import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tyro

from codistill.cli.chapters import CompareSeveral
from codistill.cli.commands import COMMANDS
from codistill.cli.hints import as_options, check_lists, missing_run, spelled_here
from codistill.cli.settings import REGISTRY, defaults, values_of
from codistill.files import without_controls

LONGEST = 2000  # characters of an error


def main(argv: Sequence[str] | None = None) -> None:
    """The program ``codistill``."""
    argv = list(sys.argv[1:] if argv is None else argv)
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)  # Python's last collection goes through all that torch has imported: half a second
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # module:Name may be a file in the current folder
    with warnings.catch_warnings(), _ended_by_signals():
        warnings.showwarning = _show_warning
        _obey(argv)


class Ended(KeyboardInterrupt):
    """SIGTERM or SIGHUP, where there is no step to finish."""


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end a command as Ctrl-C does; those that are ignored (nohup) stay so."""

    def end(number: int, _frame: object) -> None:
        raise Ended(number)

    names = ("SIGTERM", "SIGHUP") if threading.current_thread() is threading.main_thread() else ()
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.signal(number, end) for number in numbers if signal.getsignal(number) != signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """One line for whoever typed the command; where in the code it was raised does not help them."""
    print("codistill: warning:", _line(message), file=sys.stderr)


def _line(text: object) -> str:
    """In one line of no great length, and without what a terminal would obey: names in it may be a stranger's."""
    line = " ".join(str(without_controls(str(text))).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"


def _obey(argv: Sequence[str]) -> None:
    """Run the command; an error is one line and exit code 1, or a traceback where ``CODISTILL_DEBUG`` is set."""
    command: Any = None
    try:
        command = _parse(argv)
        from rich.console import Console

        command(Console(highlight=False, soft_wrap=False, markup=False), " ".join(["codistill", *argv]))
    except KeyboardInterrupt as stop:
        print("codistill: interrupted", file=sys.stderr)
        number = stop.args[0] if isinstance(stop, Ended) else getattr(stop, "number", signal.SIGINT)
        raise SystemExit(128 + number) from None
    except BrokenPipeError:  # whoever read the output has ended, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to be flushed at exit
        raise SystemExit(128 + signal.SIGPIPE) from None
    except (ValueError, ArithmeticError, ImportError, OSError) as error:
        if os.environ.get("CODISTILL_DEBUG"):
            raise
        error = missing_run(error, command) or error
        data = " ".join(word for words in values_of(argv, "data")[-1:] for word in words)
        said = "; ".join(map(str, (error, *getattr(error, "__notes__", ()))))
        raise SystemExit(f"codistill: error: {_line(as_options(said, data))}") from None


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
