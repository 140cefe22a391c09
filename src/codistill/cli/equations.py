"""The equations of docstrings as LaTeX: ``sum_j W_ij KL(p_j^T || p_i^T)`` needs no second spelling."""

import re
from collections.abc import Iterator

_GREEK = {"alpha", "beta", "gamma", "rho", "lambda"}
_SIGNS = {"||": r"\,\|\,", "!=": r"\ne ", ">=": r"\ge ", "<=": r"\le ", "*": r"\,", "{": "{", "}": "}", "%": r"\%"}
_FUNCTIONS = {"mean", "softmax", "max", "min"}
_TOKEN = re.compile(r"(?P<sub>[_^])(?P<of>\{|\w)?|(?P<word>[A-Za-z]+)|(?P<space>\s+)|(?P<sign>\|\||!=|>=|<=|.)")


def latex(equation: str) -> str:
    """An equation as it stands in a method's docstring, in LaTeX.

    A word of several lower-case letters is text, one of capitals a function; what follows ``_`` or ``^`` up to the next
    sign or space is below or above, or what stands in braces.
    """
    return re.sub(r"\s+", " ", "".join(_pieces(equation))).strip()


def _pieces(equation: str) -> Iterator[str]:
    at = 0
    while at < len(equation):
        if found := re.compile(r"[_^](?:\{([^}]*)\}|(\d+|[A-Za-z]+))").match(equation, at):
            below = found[1] if found[1] is not None else found[2]
            yield f"{equation[at]}{{{latex(below) if found[1] else below}}}"
        else:
            found = _TOKEN.match(equation, at)
            assert found is not None
            yield _word(found["word"]) if found["word"] else _SIGNS.get(found[0], found[0])
        at = found.end()


def _word(word: str) -> str:
    if word in _GREEK:
        return rf"\{word} "
    if word == "sum":
        return r"\sum"
    if word in _FUNCTIONS or (len(word) > 1 and word.isupper()):
        return rf"\operatorname{{{word}}} " if word in _FUNCTIONS else rf"\operatorname{{{word}}}"
    return word if len(word) == 1 else rf"\text{{ {word} }}"


__all__ = ["latex"]
