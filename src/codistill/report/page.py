"""One self-contained html of a study or a run: it loads nothing, and a policy in it forbids it to."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from codistill.metrics.interval import mean_sd
from codistill.report.numbers import count, known, listed, percent
from codistill.report.plots import cohort_size_figure, cost_figure, gain_figure, learning_figure
from codistill.report.rows import MARK
from codistill.report.style import CSS, JS
from codistill.report.table import html_table
from codistill.report.verdict import headline

Record = dict[str, Any]
Drawn = tuple[str, str, Any]  # title, caption, figure or None

_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)


def write_report(summary: Record, log: list[Record], results: list[Record], path: Path) -> Path:
    """Write the report of a study.

    Args:
        summary: what ``summary.json`` holds; besides, if there: ``notes`` (sentences for the footnotes),
            ``settings`` (the resolved run), ``versions``, ``command``.
        log: the lines of the ``log.jsonl`` of its parts.
        results: the lines of ``results.jsonl``.
        path: of the html; folders that are missing are made.

    Returns: `path`.
    """
    parts = [
        f'<p class="lead">{escape(" ".join(headline(summary)))}</p>',
        f'<section><h2>Results</h2>\n<div class="wide">{html_table(summary)}</div></section>',
        _figures(_drawn(summary, log, results)),
        _settings(summary.get("settings"), summary.get("versions"), summary.get("command")),
        _raw(results),
    ]
    title = f"{summary.get('recipe') or 'Study'}: what mutual learning bought and what it cost"
    return _write(path, title[0].upper() + title[1:], parts)


def write_run_report(runs: Sequence[Record], log: list[Record], results: list[Record], path: Path) -> Path:
    """Write the report of a fleet without a baseline: what was run, how it learned, how well it did.

    Args:
        runs: what ``runs.json`` holds.
        log: the lines of ``log.jsonl``.
        results: the lines of ``results.jsonl``.
        path: of the html; folders that are missing are made.

    Returns: `path`.
    """
    methods = list(dict.fromkeys(str(r.get("method")) for r in [*runs, *results] if r.get("method")))
    same = {k: v for k, v in (runs[0] if runs else {}).items() if all(r.get(k) == v for r in runs)}
    differ = [{k: v for k, v in r.items() if k not in same} for r in runs]
    parts = [
        f'<p class="lead">{escape(" ".join(_run_lead(methods, runs, results)))}</p>',
        _section("Results", _table(_per_method(results), "raw") if results else "<p>No results yet.</p>"),
        _figures([_learning(log, None)]),
        _settings(same or None, None, None),
        _section("What differs between the runs", _table(differ, "raw")) if any(differ) else "",
        _raw(results),
    ]
    return _write(path, f"Training run: {listed(methods) if methods else 'no method'}", parts)


def _run_lead(methods: list[str], runs: Sequence[Record], results: list[Record]) -> list[str]:
    seeds = {r.get("seed") for r in [*runs, *results] if r.get("seed") is not None}
    of = f" of {listed(methods)}" if methods else ""
    said = [f"This is a report on {count(max(len(runs), 1), 'run')}{of}, {count(len(seeds), 'seed')}."]
    for row in _per_method(results):
        more = f", used together {row['ensemble, %']} %" if row.get("ensemble, %") else ""
        said.append(
            f"One network of {row['method']} classifies {row['accuracy, %']} % of the {row['part']} examples "
            f"correctly (mean over {count(row['networks'], 'network')}){more}."
        )
    said.append(
        "There is no baseline in it, so it cannot tell what mutual learning bought: for that, “codistill "
        "compare” trains the same networks alone."
    )
    return said


def _per_method(results: list[Record]) -> list[Record]:
    """A line per method and part of the data; means over networks and seeds."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for r in results:
        groups.setdefault((str(r.get("method")), str(r.get("part", "test"))), []).append(r)
    rows = []
    for (method, part), found in groups.items():
        single = [r for r in found if r.get("peer") is not None]
        row: Record = {"method": method, "part": part, "networks": len(single)}
        row["accuracy, %"], row["± sd"] = map(percent, _spread(single, "accuracy"))
        row["ECE, %"] = percent(_spread(single, "ece")[0])
        together = _spread([r for r in found if r.get("peer") is None], "accuracy")[0]
        row["ensemble, %"] = percent(together) if together is not None else ""
        rows.append(row)
    return rows


def _spread(found: list[Record], key: str) -> tuple[float, float] | tuple[None, None]:
    values = [r[key] for r in found if known(r.get(key))]
    return mean_sd(values) if values else (None, None)


def _drawn(summary: Record, log: list[Record], results: list[Record]) -> list[Drawn]:
    same = any(r.get("same_gradient_as") for r in summary["rows"])
    marked = f" ({MARK}: see the footnote of the table)" if same else ""
    return [
        (
            "Gain per seed",
            "Each small mark is one seed, each diamond the mean with its 95 % interval; right of the line a "
            f"method does better than training alone{marked}.",
            gain_figure(summary),
        ),
        (
            "Accuracy by cohort size",
            "More networks learning together, and what an ensemble adds; the bars are the standard deviation "
            "over networks (one network) or over seeds (ensemble), no interval of the mean.",
            cohort_size_figure(summary, results),
        ),
        (
            "Accuracy against cost",
            "Filled marks are one network at its share of the cost, with the 95 % interval of its gain; open "
            "diamonds are the ensemble at the cost of the whole cohort; up and to the left is better.",
            cost_figure(summary),
        ),
        _learning(log, summary),
    ]


def _learning(log: list[Record], summary: Record | None) -> Drawn:
    figure = learning_figure(log, summary)
    caption = (
        "Training losses, mean over networks and seeds with a band of one standard deviation: the task loss "
        "compares with the labels, the mimicry loss with what others predict"
    )
    hint = "; tap a name to hide its line." if figure is not None and figure.layout.showlegend else "."
    return "Learning curves", caption + hint, figure


def _figures(drawn: list[Drawn]) -> str:
    shown = [(title, caption, figure) for title, caption, figure in drawn if figure is not None]
    blocks = []
    for place, (title, caption, figure) in enumerate(shown):
        data = figure.to_json().replace("<", "\\u003c")  # nothing in a label can end the script
        blocks.append(
            f"<figure><h3>{escape(title)}</h3>\n<figcaption>{escape(caption)}</figcaption>\n"
            f'<div class="plot" id="plot-{place}" role="img" aria-label="{escape(title)}"></div>\n'
            f'<script type="application/json" id="plot-{place}-data">{data}</script></figure>'
        )
    if not blocks:
        return ""
    return _section(
        "Figures",
        "<noscript><p>The figures need JavaScript; the table above holds their numbers.</p></noscript>\n"
        + "\n".join(blocks),
    )


def _settings(settings: Record | None, versions: Record | None, command: str | None) -> str:
    parts = []
    if command:
        parts.append(f"<p>Made by</p>\n<pre>{escape(str(command))}</pre>")
    if settings:
        parts.append(_definitions(settings))
    if versions:
        parts.append(f"<h3>Versions</h3>\n{_definitions(versions)}")
    return _section("Settings", "\n".join(parts)) if parts else ""


def _definitions(values: Record) -> str:
    items = (f"<dt>{escape(str(k))}</dt><dd>{escape(_plain(v))}</dd>" for k, v in values.items())
    return "<dl>\n" + "\n".join(items) + "\n</dl>"


def _raw(results: list[Record]) -> str:
    if not results:
        return ""
    shown = [{**r, "peer": "ensemble" if r.get("peer", 0) is None else r.get("peer")} for r in results]
    return (
        f"<details><summary>All results, per network: {count(len(results), 'line')}</summary>\n"
        f"{_table(shown, 'raw')}</details>"
    )


def _table(records: Sequence[Record], style: str) -> str:
    """Records as a table, a column for each key."""
    keys = list(dict.fromkeys(key for record in records for key in record))
    head = "".join(f'<th scope="col">{escape(key)}</th>' for key in keys)
    body = "\n".join(f"<tr>{''.join(_td(record.get(key)) for key in keys)}</tr>" for record in records)
    return (
        f'<div class="scroll"><table class="{style}"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _td(value: Any) -> str:
    text = f"{value:.4f}" if isinstance(value, float) else "" if value is None else _plain(value)
    return f"<td>{escape(text)}</td>"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>\n{content}</section>"


def _write(path: Path, title: str, parts: list[str]) -> Path:
    """The page; the plotting library goes in once, and only where there is something to plot."""
    from plotly.offline import get_plotlyjs

    body = "\n".join(part for part in parts if part)
    scripts = f"<script>{get_plotlyjs()}</script>\n<script>{JS}</script>\n" if 'class="plot"' in body else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        f"<header><h1>{escape(title)}</h1></header>\n<main>\n{body}\n</main>\n{scripts}</body>\n</html>\n",
        encoding="utf-8",
    )
    return path
