"""Shell: what every page has in common. Templates, headers, numbers and times as people read them."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from db.tokens import Principal
from server.curves import amount
from server.pages.chart import stack
from server.pages.door import NOBODY, is_session, may_see
from server.pages.live import mark

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer a browser's form would say `Origin: null`
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Cookie",
}
"""What every page is sent with."""

PLACES = (
    ("/", "Races"),
    ("/arena", "Arena"),
    ("/queue", "Queue"),
    ("/activity", "Activity"),
    ("/glossary", "Glossary"),
    ("/connect", "Connect"),
)
"""The navigation."""

THEMES = ("auto", "light", "dark")


def page(request: Request, template: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    """A whole page, with all that the frame around it needs."""
    principal: Principal = request.scope.get("igla.principal", NOBODY)
    theme = request.cookies.get("igla_theme", "auto")
    public = bool(request.scope.get("igla.public_board"))
    frame = {
        "viewer": principal,
        "is_session": is_session(request.scope),
        "places": [(path, name) for path, name in PLACES if may_see(principal, path, public)],
        "path": request.url.path,
        "theme": theme if theme in THEMES else "auto",
        "themes": THEMES,
        "now": datetime.now(UTC),
    }
    return HTMLResponse(fragment(template, {**frame, **values}), status, headers=HEADERS)


def fragment(template: str, values: Mapping[str, Any]) -> str:
    """A template as text. Every value is escaped."""
    return environment().get_template(template).render(**values)


@lru_cache(maxsize=1)
def environment() -> Environment:
    """The templates of this folder."""
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "bpb": bpb,
        "count": count,
        "amount": size,
        "moment": moment,
        "ago": ago,
        "number": number,
        "told": told,
    }
    made.globals |= {"static": static, "stack_of": stack, "mark": mark}
    return made


@lru_cache
def static(name: str) -> str:
    """The address of a file of the static folder; it changes with the file, so that browsers may keep it."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"


def bpb(value: float | None) -> str:
    """Bits per byte, as everywhere with four decimals."""
    return "" if value is None else f"{value:.4f}"


def count(value: int) -> str:
    """A whole number with its thousands apart."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def number(value: object) -> str:
    """A value of a decision or a recipe: floats with five digits, the others as they are."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def size(value: float) -> str:
    """Bytes for people, with a unit that stays on the line."""
    return amount(value).replace(" ", "\N{NO-BREAK SPACE}")


def told(points: Sequence[tuple[int, float]]) -> Markup:
    """Samples of a curve: numbers alone, so there is nothing to escape."""
    return Markup(" ".join(f"<span>{int(step)}: {float(value):.4f}</span>" for step, value in points))


def moment(value: datetime | None) -> Markup:
    """A moment in UTC as a time element."""
    if value is None:
        return Markup("")
    told = value.astimezone(UTC)
    return Markup(f'<time datetime="{told:%Y-%m-%dT%H:%M:%SZ}">{told:%Y-%m-%d %H:%M:%S}</time>')


def ago(value: datetime, now: datetime) -> str:
    """How long before `now` it was: 3 s ago, 5 min ago, 2 h ago, 4 days ago; or how long from now it will be."""
    seconds = (now - value).total_seconds()
    told = span(abs(seconds))
    return f"{told} ago" if seconds >= 0 else f"in {told}"


def span(seconds: float) -> str:
    """Seconds for people."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
