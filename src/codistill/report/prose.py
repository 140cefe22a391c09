"""Sentences from the templates: every paragraph of a text template is one."""

import json
import re
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from codistill.report.numbers import count, interval, listed, percent, points, times


def plain(value: object) -> str:
    """Text as it is, and anything else as JSON writes it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


@cache
def environment() -> Environment:
    """The templates of all reports; what goes into HTML and SVG is escaped."""
    templates = Environment(
        loader=PackageLoader("codistill.report"),
        autoescape=lambda name: name is not None and name.endswith((".html", ".svg")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters = (count, interval, listed, percent, plain, points, times)
    templates.filters.update({each.__name__: each for each in filters})
    return templates


def sentences(template: str, **values: object) -> list[str]:
    """The paragraphs of a text template, each as one line."""
    text = environment().get_template(template).render(values)
    return [line for paragraph in text.split("\n\n") if (line := re.sub(r"[ \n]+", " ", paragraph).strip())]
