"""Options of methods: fields of a class that check what they are given and hold what the method computes with."""

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import inf
from typing import Any, Generic, TypeVar, overload

from codistill.checks import flag, number, whole
from codistill.discovery import construct
from codistill.graph import Graph, matrix, named
from codistill.losses import divergences, selections, targets
from codistill.losses.divergence import Divergence
from codistill.losses.selections import Selection
from codistill.losses.targets import Target
from codistill.spec import Spec, UnknownName, WrongKind

Given = TypeVar("Given")
Held = TypeVar("Held")
Links = str | Graph | Sequence[Sequence[float]] | None


class Option(ABC, Generic[Given, Held]):
    """A descriptor-typed field of a dataclass: ``weight: Number = Number(0.9)``.

    Args:
        default: what it is given where nobody says.
    """

    def __init__(self, default: Given) -> None:
        self.default = default

    @abstractmethod
    def check(self, setting: str, given: Given) -> Held:
        """What it holds of what it is given; raises a ValueError that names the setting where that is invalid."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, method: None, owner: type) -> Given: ...

    @overload
    def __get__(self, method: object, owner: type) -> Held: ...

    def __get__(self, method: object | None, owner: type) -> Any:
        """The default of a class, or of a method that has no such option; else what it holds."""
        return self.default if method is None else vars(method).get(self.name, self.default)

    def __set__(self, method: object, given: Given) -> None:
        vars(method)[self.name] = self.check(self.name, given)


class Number(Option[float, float]):
    """A number from ``low`` to ``high``; at least 0, as a weight is, where nothing else is said."""

    def __init__(self, default: float, low: float = 0.0, high: float = inf) -> None:
        super().__init__(default)
        self.low, self.high = low, high

    def check(self, setting: str, given: float) -> float:
        return number(setting, given, self.low, self.high)


class Fraction(Number):
    """A number from 0 to 1."""

    def __init__(self, default: float) -> None:
        super().__init__(default, high=1.0)


class Temperature(Number):
    """A number above 0."""

    def __init__(self, default: float) -> None:
        super().__init__(default, low=1e-6)


class EdgeTemperature(Option[float | Sequence[Sequence[float]] | Graph, float | Graph]):
    """A temperature, or a matrix T_ij of them, so that each edge has its own."""

    def check(self, setting: str, given: float | Sequence[Sequence[float]] | Graph) -> float | Graph:
        if isinstance(given, Sequence) and not isinstance(given, str):
            return matrix(given, of=setting)
        return given if isinstance(given, Graph) else number(setting, given, 1e-6)


class Whole(Option[int, int]):
    """A whole number of at least 1."""

    def check(self, setting: str, given: int) -> int:
        return whole(setting, given)


class Flag(Option[bool, bool]):
    """True or false."""

    def check(self, setting: str, given: bool) -> bool:
        return flag(setting, given)


class Choice(Option[str, str]):
    """One of several words, the first where nobody says."""

    def __init__(self, *words: str) -> None:
        super().__init__(words[0])
        self.words = words

    def check(self, setting: str, given: str) -> str:
        if given not in self.words:
            raise UnknownName(setting, str(given), self.words)
        return given


class Names(Option[str, tuple[str, ...]]):
    """Submodules by name, each once, joined by ``/``; ``fc:input`` is what goes into fc."""

    def check(self, setting: str, given: str) -> tuple[str, ...]:
        names = tuple(str(given).split("/"))  # str: a submodule may be called 4
        if "" in names or len(set(names)) < len(names):
            raise ValueError(f"{setting}={given!r}: give each name once, joined by /, as stage1/stage2")
        return names


class DivergenceOption(Option[str | Divergence, Divergence]):
    """A divergence by its spec, or itself."""

    def check(self, setting: str, given: str | Divergence) -> Divergence:
        return divergences.get(given)


class GraphOption(Option[Links, Graph]):
    """A graph by its name, its matrix, or itself; for None, a method takes its `Method.default_graph`."""

    def check(self, setting: str, given: Links) -> Graph:
        return given if given is None else named(given)  # type: ignore[return-value]


class TargetOption(Option[str | Target, Target]):
    """A target by its spec, or itself."""

    def check(self, setting: str, given: str | Target) -> Target:
        return given if isinstance(given, Target) else _nested(targets.__name__, setting, given, Target)


class SelectOption(Option[str | Selection, Selection | None]):
    """A selection by its spec, or itself; None for ``all``."""

    def check(self, setting: str, given: str | Selection) -> Selection | None:
        if given == "all":
            return None
        return given if isinstance(given, Selection) else _nested(selections.__name__, setting, given, Selection)


def _nested(module: str, setting: str, spec: object, kind: type) -> Any:
    """What a spec within a spec names, with ``;`` for a comma in it."""
    built = construct(module, Spec.of(str(spec).replace(";", ",")))
    if not isinstance(built, kind):
        raise WrongKind(f"{setting}={spec!r} is {built!r}, not a {kind.__name__}")
    return built


def completed(cls: type, note: str = "") -> str:
    """The docstring of a class, a note before its ``Args:``, and in these what only its bases describe."""
    doc = inspect.cleandoc(cls.__doc__ or "")
    own, told = described(cls), {k: v for base in reversed(cls.__mro__[1:]) for k, v in described(base).items()}
    more = [told[name] for name in inspect.signature(cls).parameters if name in told.keys() - own.keys()]
    before, _, after = doc.partition("Args:\n") if own else (f"{doc}\n\n", "", "")
    note = f"{note}\n\n" if note else ""
    return "\n".join([f"{before}{note}Args:", *more, after]).rstrip() if more else doc


def described(cls: type) -> dict[str, str]:
    """The lines on each option in the ``Args:`` of a class's own docstring."""
    args = re.search(r"^Args:\n((?: .*\n?)+)", inspect.cleandoc(vars(cls).get("__doc__") or ""), re.M)
    return {entry[1]: entry[0] for entry in re.finditer(r"^    (\w+):.*(?:\n {8}.*)*", args[1] if args else "", re.M)}
