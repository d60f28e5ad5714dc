"""BPB curves as SVG. Pure: numbers in, markup out; every text is escaped."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor

WIDTH, HEIGHT = 860, 380


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The size of a picture and the margins in which its axes are written."""

    width: int = WIDTH
    height: int = HEIGHT
    left: int = 56
    right: int = 16
    top: int = 12
    bottom: int = 40


REPORT = Frame()
"""The picture of a report."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One run: (bytes trained, bits per byte) points, its name, and the place of its recipe (1 leads; 0: unranked)."""

    name: str
    points: Sequence[tuple[float, float]]
    place: int
    stopped: bool = False


def svg(
    lines: Sequence[Line],
    baseline: float | None = None,
    *,
    frame: Frame = REPORT,
    name: str = "curves",
    about: str = "",
) -> str:
    """The curves, the leaders in colour above the others in grey, and the n-gram baseline as a dashed line.

    Lines carry the class `place-1` to `place-3` or `place-0`, `stopped` where a run was stopped; CSS colours them.
    name: of this picture, where a page has several. about: what its description says.
    """
    points = [point for line in lines for point in line.points]
    if not points:
        return "<p>No sample has been stored yet.</p>"
    values = [value for _, value in points] + ([baseline] if baseline else [])
    low, high = floor(min(values) * 4) / 4, ceil(max(values) * 4) / 4 or 1.0
    high = max(high, low + 0.25)
    farthest = max(at for at, _ in points)
    right, floor_ = frame.width - frame.right, frame.height - frame.bottom

    def x(at: float) -> float:
        return frame.left + (right - frame.left) * at / farthest

    def y(value: float) -> float:
        return frame.top + (floor_ - frame.top) * (high - value) / (high - low)

    described = f'<desc id="{name}-desc">{escape(about)}</desc>' if about else ""
    ids = f"{name}-title {name}-desc" if about else f"{name}-title"
    parts = [
        f'<svg viewBox="0 0 {frame.width} {frame.height}" role="img" aria-labelledby="{ids}">',
        f'<title id="{name}-title">Bits per byte on validation text against bytes trained</title>{described}',
    ]
    for value in ticks(low, high):
        parts.append(
            f'<line class="grid" x1="{frame.left}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
            f'<text x="{frame.left - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.2f}</text>'
        )
    for at in ticks(0.0, farthest):
        end = "end" if x(at) > right - 12 else "middle"
        parts.append(
            f'<text x="{x(at):.1f}" y="{floor_ + 20 * frame.bottom // 40}" text-anchor="{end}">{amount(at)}</text>'
        )
    parts.append(
        f'<text x="{(frame.left + right) / 2}" y="{frame.height - 4}" text-anchor="middle">text trained on</text>'
    )
    for line in sorted(lines, key=lambda one: (one.place != 0, -one.place)):
        parts.append(curve(line, [(x(at), y(value)) for at, value in line.points]))
    if baseline:
        parts.append(
            f'<line class="baseline" x1="{frame.left}" x2="{right}" y1="{y(baseline):.1f}" '
            f'y2="{y(baseline):.1f}"><title>order-2 Witten-Bell model {baseline:.4f}</title></line>'
        )
    return "".join([*parts, "</svg>"])


def curve(line: Line, at: Sequence[tuple[float, float]]) -> str:
    """One polyline with its points; the name shows under the pointer."""
    kind = f"run place-{line.place if line.place <= 3 else 0}" + (" stopped" if line.stopped else "")
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in at)
    return f'<g class="{kind}"><title>{escape(line.name)}</title><polyline points="{path}"/>{dots}</g>'


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values from low to high, at most `most` + 1 of them."""
    for power in range(-6, 13):
        for step in (1 * 10.0**power, 2 * 10.0**power, 2.5 * 10.0**power, 5 * 10.0**power):
            if (high - low) / step <= most:
                first = ceil(low / step - 1e-9)
                return [number * step for number in range(first, floor(high / step + 1e-9) + 1)]
    return [low, high]


def amount(count: float) -> str:
    """Bytes for people: 1.8 MB."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} B"
