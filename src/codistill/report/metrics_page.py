"""The tables of docs/evaluation.md, from what the metrics say of themselves.

python -m codistill.report.metrics_page docs/evaluation.md
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from codistill.metrics import Metric, computed_from

WHERE = {"decisions": "all but retrieval", "labels": "several labels"}
START = "<!-- made from the metrics: {name} -->\n"
END = "\n<!-- end -->"


def networks_table() -> str:
    """One row for each metric of a network that classifies."""
    rows = (
        (f"`{m.key}`", m.about, m.unit, m.better or "-", m.where or WHERE[m.source])
        for m in (*computed_from("decisions"), *computed_from("labels"))
    )
    return _table(("column", "what it is", "unit", "better", "where"), rows)


def pairs_table() -> str:
    """One row for each metric of two networks."""
    return _table(("matrix", "what it is"), ((f"`{m.key}`", m.about) for m in computed_from("pairs")))


def retrieval_table() -> str:
    """One row for each metric of a network that retrieves."""
    metrics: list[Metric] = [*computed_from("ranking"), *computed_from("multi_query")]
    return _table(("column", "what it is"), ((f"`{m.key}`", m.about) for m in metrics))


def _table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def with_tables(page: str) -> str:
    """A page with its tables made again, each between its two comments."""
    tables = {"networks": networks_table(), "pairs": pairs_table(), "retrieval": retrieval_table()}
    for name, table in tables.items():
        before, start, rest = page.partition(START.format(name=name))
        page = before + start + table + END + rest.partition(END)[2]
    return page


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
