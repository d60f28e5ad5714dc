"""Charts of the dashboard: curves and small drawings as SVG. Pure; the style sheet has colours and letters."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from db.curves import SampleView
from db.leaderboard import Row
from db.overview import CurveView
from server.curves import Frame, Line, svg

PAGE = Frame(width=640, height=330, left=54, right=10, top=10, bottom=50)
"""Small, so that letters can be read on a phone; lines keep their width."""


def race_chart(curves: Sequence[CurveView], places: Mapping[str, int], shares: Sequence[int]) -> Markup:
    """The curves of a race against the text that each run has trained on. shares: that of a whole run, by rung."""
    lines = [
        Line(
            name=f"{one.name}, seed {one.seed}, rung {one.rung + 1}",
            points=[(step * shares[one.rung] / one.total_steps, value) for step, value in one.points],
            place=places.get(one.recipe, 0),
            stopped=one.state in ("pruned", "errored"),
        )
        for one in curves
    ]
    return drawn(svg(lines, frame=PAGE, name="race", about="Each line is a run; the table below holds its numbers."))


def run_chart(samples: Sequence[SampleView], step_bytes: float) -> Markup:
    """The curve of a run and, fainter, its moving average."""
    lines = [
        Line(name="moving average", points=[(one.step * step_bytes, one.ema) for one in samples], place=0),
        Line(name="bits per byte", points=[(one.step * step_bytes, one.bpb) for one in samples], place=1),
    ]
    about = "One line is each sample, the other their moving average; the table below holds the numbers."
    return drawn(svg(lines if samples else [], frame=PAGE, name="run", about=about))


def drawn(markup: str) -> Markup:
    """Markup of ours, whose texts are escaped already."""
    return Markup(markup)


BAR = 200
"""Width of a bar in its own units."""


def spread(rows: Sequence[Row]) -> dict[str, tuple[float, float, float]]:
    """recipe -> (left, middle, right) of mean - sd to mean + sd on a scale of 0 to BAR that all rows share."""
    if not rows:
        return {}
    low, high = min(row.mean - row.sd for row in rows), max(row.mean + row.sd for row in rows)
    scale = BAR / ((high - low) or 1.0)
    return {
        row.recipe: ((row.mean - row.sd - low) * scale, (row.mean - low) * scale, (row.mean + row.sd - low) * scale)
        for row in rows
    }


ORDER = ("done", "running", "queued", "pruned", "errored", "cancelled")


def stack(counts: Mapping[str, int]) -> list[tuple[str, int, float, float]]:
    """(state, number, begin, width) of each state's part of a bar from 0 to BAR."""
    total, begin, parts = sum(counts.values()) or 1, 0.0, []
    for state in ORDER:
        if number := counts.get(state, 0):
            width = BAR * number / total
            parts.append((state, number, begin, width))
            begin += width
    return parts
