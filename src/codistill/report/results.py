"""The results of one run, network by network."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

COLUMNS = {"accuracy": "accuracy %", "nll": "NLL", "ece": "ECE %", "brier": "Brier", "entropy": "entropy"}
PERCENT = ("accuracy", "ece")


def results_table(rows: Sequence[dict[str, Any]]) -> Table:
    """One line per network, and the ensemble of all of them."""
    table = Table(box=None, header_style="bold", pad_edge=False, title_justify="left")
    if rows:
        table.title = f"{rows[0]['part']} part, {rows[0]['n']} examples"
    for name in ("run", "network", *COLUMNS.values()):
        table.add_column(name, justify="left" if name in ("run", "network") else "right")
    for row in rows:
        if row["peer"] is None and row["networks"] != row["peers"]:
            continue
        who = f"ensemble of {row['networks']}" if row["peer"] is None else f"network {row['peer']}"
        values = [f"{row[c] * 100:.2f}" if c in PERCENT else f"{row[c]:.3f}" for c in COLUMNS]
        table.add_row(f"{row['method']}, seed {row['seed']}", who, *values)
    return table
