"""What people type who know other programs, and errors in the words of the command line."""

import dataclasses
import difflib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from codistill.run import Run
from codistill.spec import ALIASES

FIELDS = [field.name for field in dataclasses.fields(Run)]
WORDS = {"gpu": "cuda", "amp": "bfloat16"}  # the value of an alias that is given without one
RUNS = Path("runs")  # where folders of runs are, unless --runs says otherwise
MARKS = ("runs.json", "study.json", "chapters.json", "tune.json")  # one of these is in each
MOST = 5  # folders that are named
LISTS = (
    "--models",
    "--methods",
    "--augment",
    "--seeds",
    "--recipe",
    "--skip",
    "--learning-rate",
    "--weight-decay",
    "--grid",
)


def spelled_here(argv: Sequence[str]) -> list[str]:
    """The command line with this program's names of settings; what was changed is said once.

    ``--lr 0.1`` is ``--learning-rate 0.1``, ``--gpu`` ``--device cuda``, ``--gpu 1`` ``--device cuda:1``.
    """
    words: list[str] = []
    for number, word in enumerate(argv):
        flag, joined, value = word.partition("=")
        alias = flag[2:].replace("-", "_") if flag.startswith("--") else ""
        if alias not in ALIASES:
            words.append(f"cuda:{word}" if _is_number_of_gpu(argv, number) else word)
            continue
        here = "--" + ALIASES[alias].replace("_", "-")
        print(f"codistill: {flag} is called {here} here", file=sys.stderr)
        value = f"cuda:{value}" if alias == "gpu" and value.isdigit() else value
        words.append(f"{here}={value}" if joined else here)
        if alias in WORDS and not joined and (not argv[number + 1 :] or argv[number + 1].startswith("-")):
            words.append(WORDS[alias])
    return words


def _is_number_of_gpu(argv: Sequence[str], number: int) -> bool:
    return number > 0 and argv[number - 1] == "--gpu" and argv[number].isdigit()


def check_lists(argv: Sequence[str]) -> None:
    """Several values are separated by spaces.

    Raises:
        ValueError: an option that takes several has them with commas between.
    """
    option = ""
    for word in argv:
        if word.startswith("--"):
            option, _, word = word.partition("=")
        if option in LISTS and _is_list(word):
            raise ValueError(f"{option} {word}: separate several by spaces: {option} {' '.join(_items(word))}")


def _is_list(word: str) -> bool:
    """Whether commas stand before any option, or before a name with a colon: ``a,b``, ``m:A,m:B``, not ``a:x=1,y=2``
    (whose commas are its own).
    """
    return len(_items(word)) > 1


def _items(word: str) -> list[str]:
    items: list[str] = []
    for piece in word.split(","):
        begins = not items or re.fullmatch(r"[\w.]+(:.*)?", piece)
        if begins and (not items or ":" not in items[-1] or ":" in piece.partition("=")[0]):
            items.append(piece)
        else:
            items[-1] += f",{piece}"
    return items


def as_options(message: str, data: str = "") -> str:
    """An error's advice as options: ``choose part=test`` -> ``choose --part test``.

    Args:
        message: of the error.
        data: that the command line names, whose option ``skip_bad`` is.
    """
    if data:
        joint = "," if ":" in data else ":"
        message = message.replace("set skip_bad=true", f"set --data {data}{joint}skip_bad=true")
    names = "|".join([*FIELDS, "part"])
    setting = rf"(?:{names})='?[\w.:/+-]*\w'?"
    advice = re.compile(rf"\b(set|choose|use|or) ({setting}(?:, {setting})*)")
    return advice.sub(lambda found: f"{found[1]} {_options(found[2])}", message)


def _options(settings: str) -> str:
    """``valid=0.1, evaluate_every=1`` -> ``--valid 0.1 --evaluate-every 1``."""
    pairs = (each.partition("=")[::2] for each in settings.split(", "))
    return " ".join(f"--{name.replace('_', '-')} {value.strip(chr(39))}" for name, value in pairs)


def missing_run(error: Exception, command: object) -> FileNotFoundError | None:
    """What to say of an error where the folder of a run that a command names does not exist: those near it that do."""
    given = getattr(command, "run", ())
    runs = [run for run in ((given,) if isinstance(given, Path) else given) if not run.exists()]
    if not runs or not isinstance(error, FileNotFoundError):
        return None
    run = runs[0]
    homes = dict.fromkeys([run.parent, RUNS])
    there = [path for home in homes for path in sorted(home.glob("*")) if any((path / file).exists() for file in MARKS)]
    names = difflib.get_close_matches(run.name, [path.name for path in there], n=3)
    near = [str(path) for path in there if path.name in names] or [str(path) for path in there[:MOST]]
    said = f"there are {', '.join(near)}" if near else "no run is there"
    if names:
        said = f"did you mean {' or '.join(near)}?"
    elif len(there) > MOST:
        said += f" and {len(there) - MOST} more"
    return FileNotFoundError(f"{run} does not exist: {said}")


__all__ = ["as_options", "check_lists", "missing_run", "spelled_here"]
