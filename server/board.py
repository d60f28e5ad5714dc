"""The leaderboard as a terminal table."""

from collections.abc import Sequence
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
