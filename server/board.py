"""The leaderboard, and formats x optimizers, as terminal tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text


def board_table(race: str, rows: Sequence[dict[str, Any]], note: str = "") -> Table:
    """Rows of the leaderboard tool as a table. sd is over the race's seeds; n is how many."""
    table = Table(title=f"leaderboard of {race}", caption=note or None)
    for name, side in [
        ("rank", "right"),
        ("rung", "left"),
        ("recipe", "left"),
        ("digest", "left"),
        ("mean bpb", "right"),
        ("sd", "right"),
        ("n", "right"),
        ("provenance", "left"),
    ]:
        table.add_column(name, justify="right" if side == "right" else "left")
    for row in rows:
        table.add_row(
            str(row["rank"]),
            rung_name(row["rung"], row["rungs"]),
            Text(row["name"]),
            row["recipe"][:8],
            f"{row['mean']:.4f}",
            f"{row['sd']:.4f}",
            str(row["n"]),
            row["provenance"],
        )
    return table


def rung_name(rung: int, rungs: int) -> str:
    """`2 of 3` for people who count from one."""
    return f"{rung + 1} of {rungs}"


def matrix_table(race: str, matrix: Mapping[str, Any]) -> Table:
    """The leaderboard tool's `matrix`: in a cell mean bpb +- sd (n), and the share of values that rounding changed."""
    caption = "bits per byte +- sd over n seeds, share of values changed; -: no such recipe"
    table = Table(title=f"formats x optimizers of {race}", caption=f"{matrix['shared']}\n{caption}".strip())
    table.add_column("format")
    for name in ("bits", "phi-distance", *matrix["columns"]):
        table.add_column(name, justify="right")
    for row in matrix["rows"]:
        distance = "" if row["phi_distance"] is None else f"{row['phi_distance']:.3f}"
        table.add_row(row["label"], f"{row['bits']:g}", distance, *(cell_text(cell) for cell in row["cells"]))
    return table


def cell_text(cell: Mapping[str, Any] | None) -> str:
    """One cell for people. A cell without a number says why."""
    if cell is None:
        return "-"
    if cell["mean"] is None:
        return f"lost: {cell['note']}" if cell["state"] == "lost" else str(cell["state"])
    told = (
        "identity" if cell["state"] == "identity" else "" if cell["share"] is None else f"{100 * cell['share']:.3g} %"
    )
    equal = f" = {', '.join(cell['equal_to'])}" if cell["equal_to"] else ""
    return f"{cell['mean']:.4f} +- {cell['sd']:.4f} ({cell['n']}) {told}{equal}".rstrip()
