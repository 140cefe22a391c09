"""Long specs in narrow columns."""

import re


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` characters, broken at spaces and after ``, + : ; = /``; longer pieces stand alone."""
    lines = [""]
    for piece in re.findall(r"[^\s,+:;=/]*[,+:;=/]*\s*", text):
        if piece and lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


__all__ = ["wrapped"]
