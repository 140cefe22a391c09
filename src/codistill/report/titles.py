"""What comparisons are called: by what was compared on which data; and what tells apart those beside one another."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from codistill.description import PYTHON
from codistill.report.numbers import listed
from codistill.report.prose import plain
from codistill.spec import Spec
from codistill.study.rows import BASELINE

MOST = 4  # settings in a title
METHODS = 3  # in a title; of more, it says how many
Rows = Sequence[tuple[str, str]]


def title_of(question: str, rows: Rows, data: object = None) -> str:
    """``DML with 2 and 4 peers against training alone on digits``; or the question, with the data where it lacks them.

    Args:
        question: of the comparison; empty: it is told by its rows.
        rows: of each its method, as a spec, and its label.
        data: their spec; None where it is not known. What was given in Python is called the reader's own.
    """
    name = "" if data is None else _data_name(Spec.of(str(data)))
    if not question:
        return f"{_compared(rows)} on {name}" if name else _compared(rows)
    there = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", question, re.IGNORECASE)
    return question if there or not name else f"{question} ({name})"


def _data_name(spec: Spec) -> str:
    if spec.name == PYTHON:
        return " ".join(["your own data", *map(str, spec.args)])
    return str(Spec(spec.name, spec.args))


def _compared(rows: Rows) -> str:
    """The methods against training alone, each with the numbers of its peers."""
    methods: dict[str, set[int]] = {}
    for method, label in rows:
        if Spec.of(method).name != BASELINE:
            name, *options = label.split(" in ")[-1].split(", ")
            sizes = (re.fullmatch(r"(\d+) networks", option) for option in options)
            methods.setdefault(name, set()).update(int(size[1]) for size in sizes if size)
    if not methods:
        return "Training alone"
    each = [
        f"{name} with {listed(list(map(str, sorted(peers))))} peers" if peers else name
        for name, peers in methods.items()
    ]
    said = listed(each) if len(each) <= METHODS else f"{len(each)} methods"
    return f"{said} against training alone"


def distinct(
    titles: Sequence[str],
    settings: Sequence[Mapping[str, object]],
    folders: Sequence[str],
    apart: Sequence[object] = (),
) -> list[str]:
    """The titles; where several are the same, each with the settings in which these differ, else with its folder.

    Args:
        titles: of each, what was compared.
        settings: of each.
        folders: the name of each one's folder.
        apart: what else tells those of one title apart, such as their seeds; none: nothing.
    """
    told = [_with_settings(number, titles, settings) for number in range(len(titles))]
    counted = Counter(zip(told, apart or [None] * len(told), strict=True))
    again = {title for (title, _), times in counted.items() if times > 1}
    return [f"{title} ({folder})" if title in again else title for title, folder in zip(told, folders, strict=True)]


def _with_settings(number: int, titles: Sequence[str], settings: Sequence[Mapping[str, object]]) -> str:
    own = settings[number]
    others = [each for title, each in zip(titles, settings, strict=True) if title == titles[number]]
    differ = [name for name in own if any(each.get(name) != own[name] for each in others)]
    said = ", ".join(f"{name.replace('_', ' ')} {_shown(own[name])}" for name in differ[:MOST])
    return f"{titles[number]}, {said}" if said else titles[number]


def _shown(value: object) -> str:
    return " ".join(map(plain, value)) if isinstance(value, list | tuple) else plain(value)


__all__ = ["distinct", "title_of"]
