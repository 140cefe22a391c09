"""One self-contained html of a study or a run: it loads nothing, and a policy in it forbids it to."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from codistill.analysis.findings import Finding
from codistill.analysis.judge import findings, merged
from codistill.metrics.interval import mean_sd
from codistill.report.measures import measure_of, measure_of_results
from codistill.report.numbers import count, decimal, known, listed, percent
from codistill.report.plots import cohort_size_figure, cost_figure, gain_figure, learning_figure, ratio_figure
from codistill.report.results import alike
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
        figures(_drawn(summary, log, results)),
        _imitation(log, summary),
        _alike(results),
        settings_section(summary.get("settings"), summary.get("versions"), summary.get("command")),
        _raw(results),
    ]
    return write_page(path, f"What mutual learning bought and what it cost: {summary.get('recipe') or 'study'}", parts)


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
        section("Results", _table(_per_method(results), "raw") if results else "<p>No results yet.</p>"),
        figures([_learning(log, None)]),
        _imitation(log, None),
        _alike(results),
        settings_section(same or None, None, None),
        section("What differs between the runs", _table(differ, "raw")) if any(differ) else "",
        _raw(results),
    ]
    return write_page(path, f"Training run: {listed(methods) if methods else 'no method'}", parts)


def _run_lead(methods: list[str], runs: Sequence[Record], results: list[Record]) -> list[str]:
    seeds = {r.get("seed") for r in [*runs, *results] if r.get("seed") is not None}
    of = f" of {listed(methods)}" if methods else ""
    said = [f"This is a report on {count(max(len(runs), 1), 'run')}{of}, {count(len(seeds), 'seed')}."]
    for row in _per_method(results):
        more = f", used together {row['ensemble, %']} %" if row.get("ensemble, %") else ""
        said.append(
            f"One network of {row['method']} {_reached(row)} (mean over {count(row['networks'], 'network')}){more}."
        )
    said.append(
        "There is no baseline in it, so it cannot tell what mutual learning bought: for that, “codistill "
        "compare” trains the same networks alone."
    )
    return said


def _reached(row: Record) -> str:
    if "accuracy, %" in row:
        return f"classifies {row['accuracy, %']} % of the {row['part']} examples correctly"
    return f"reaches a mAP of {row['mAP, %']} % on the {row['part']} part"


def _per_method(results: list[Record]) -> list[Record]:
    """A line per method and part of the data; means over networks and seeds."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for r in results:
        groups.setdefault((str(r.get("method")), str(r.get("part", "test"))), []).append(r)
    rows = []
    for (method, part), found in groups.items():
        single = [r for r in found if r.get("peer") is not None]
        row: Record = {"method": method, "part": part, "networks": len(single)}
        measure = measure_of_results(found)
        row[f"{measure.name}, %"], row["± sd"] = map(percent, _spread(single, measure.key))
        beside = {"rank-1, %": _spread(single, "cmc1")[0], "ECE, %": _spread(single, "ece")[0]}
        row |= {name: percent(mean) for name, mean in beside.items() if mean is not None}
        together = _spread([r for r in found if r.get("peer") is None], measure.key)[0]
        row["ensemble, %"] = percent(together) if together is not None else ""
        rows.append(row)
    return rows


def _spread(found: list[Record], key: str) -> tuple[float, float] | tuple[None, None]:
    values = [r[key] for r in found if known(r.get(key))]
    return mean_sd(values) if values else (None, None)


def _drawn(summary: Record, log: list[Record], results: list[Record]) -> list[Drawn]:
    same = any(r.get("same_gradient_as") for r in summary["rows"])
    marked = f" ({MARK}: see the footnote of the table)" if same else ""
    title = measure_of(summary).title
    return [
        (
            "Gain per seed",
            "Each small mark is one seed, each diamond the mean with its 95 % interval; right of the line a "
            f"method does better than training alone{marked}.",
            gain_figure(summary),
        ),
        (
            f"{title} by cohort size",
            "More networks learning together, and what an ensemble adds; the bars are the standard deviation "
            "over networks (one network) or over seeds (ensemble), no interval of the mean.",
            cohort_size_figure(summary, results),
        ),
        (
            f"{title} against cost",
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
        "compares with the labels, the imitation loss with what others predict or hold"
    )
    hint = "; tap a name to hide its line." if figure is not None and figure.layout.showlegend else "."
    return "Learning curves", caption + hint, figure


def _imitation(log: list[Record], summary: Record | None) -> str:
    """What the KL watch found, and a plot of its main number; nothing where nobody learns from others."""
    found = merged(findings(log))
    if not found:
        return ""
    caption = (
        "All that peers learn from others beside what they learn from labels, as parts of the loss; mean over networks "
        "and seeds with a band of one standard deviation, on a logarithmic scale."
    )
    drawn = ("Imitation beside the task, by epoch", caption, ratio_figure(log, summary))
    return figures([drawn], "Is the mimic term doing anything?", "watch", finding_list(found))


def finding_list(found: Sequence[Finding]) -> str:
    """Findings as a list, those that ask for a change marked."""
    items = []
    for one in found:
        head = f"<b>{escape(one.kind.capitalize())}.</b> " if one.warning else ""
        fix = f"<br><small>To change: {escape(one.fix)}.</small>" if one.fix else ""
        items.append(f'<li class="{"warning" if one.warning else "sound"}">{head}{escape(one.sentence())}{fix}</li>')
    return '<ul class="findings">\n' + "\n".join(items) + "\n</ul>"


def figures(drawn: list[Drawn], title: str = "Figures", place: str = "plot", above: str = "") -> str:
    """A section of figures, below what else is to stand in it; nothing where both are missing.

    Args:
        drawn: those that are None are left out.
        title: of the section.
        place: how its places on the page are called; no other section's.
        above: html.
    """
    shown = [(title, caption, figure) for title, caption, figure in drawn if figure is not None]
    blocks = []
    for number, (name, caption, figure) in enumerate(shown):
        data = figure.to_json().replace("<", "\\u003c")  # nothing in a label can end the script
        blocks.append(
            f"<figure><h3>{escape(name)}</h3>\n<figcaption>{escape(caption)}</figcaption>\n"
            f'<div class="plot" id="{place}-{number}" role="img" aria-label="{escape(name)}"></div>\n'
            f'<script type="application/json" id="{place}-{number}-data">{data}</script></figure>'
        )
    if blocks:
        blocks.insert(0, "<noscript><p>The figures need JavaScript; the tables hold their numbers.</p></noscript>")
    return section(title, "\n".join([*filter(None, [above]), *blocks])) if blocks or above else ""


def settings_section(settings: Record | None, versions: Record | None, command: str | None) -> str:
    """What it was made with; nothing where nothing is known."""
    parts = []
    if command:
        parts.append(f"<p>Made by</p>\n<pre>{escape(str(command))}</pre>")
    if settings:
        parts.append(_definitions(settings))
    if versions:
        parts.append(f"<h3>Versions</h3>\n{_definitions(versions)}")
    return section("Settings", "\n".join(parts)) if parts else ""


def _definitions(values: Record) -> str:
    items = (f"<dt>{escape(str(k))}</dt><dd>{escape(_plain(v))}</dd>" for k, v in values.items())
    return "<dl>\n" + "\n".join(items) + "\n</dl>"


def _alike(results: list[Record]) -> str:
    """How much the networks of a cohort have in common, from the rows of their pairs."""
    rows = [
        {
            "method": method,
            "same class, %": percent(means["agreement"]),
            "error correlation": decimal(means["error_correlation"]),
            "KL, nats": decimal(means["kl"]),
            "JS, nats": decimal(means["js"]),
        }
        for method, means in alike(results).items()
    ]
    if not rows:
        return ""
    said = (
        "Two networks of a cohort on the same examples, the mean over pairs and seeds. The more alike they are, the "
        "less an ensemble of them brings. Error correlation: 1 where they err on the very same examples, 0 as if by "
        "chance; KL and JS: how far their posteriors are apart."
    )
    return section("How alike the networks of a cohort are", f"<p>{said}</p>\n{_table(rows, 'raw')}")


def _raw(results: list[Record]) -> str:
    if not results:
        return ""
    single = [r for r in results if r.get("kind") != "pairs"]
    shown = [{**r, "peer": "ensemble" if r.get("peer", 0) is None else r.get("peer")} for r in single]
    return (
        f"<details><summary>All results, per network: {count(len(shown), 'line')}</summary>\n"
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


def section(title: str, content: str) -> str:
    """A headed part of the page."""
    return f"<section><h2>{escape(title)}</h2>\n{content}</section>"


def write_page(path: Path, title: str, parts: list[str]) -> Path:
    """Write a page of these parts; the plotting library goes in once, and only where there is something to plot."""
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
