"""`/queue`: what waits, what runs and who has given a sign of life."""

from datetime import timedelta
from itertools import groupby
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse

from db import queue_overview
from db.session import Session
from server.pages.shell import fragment, page
from server.runtime import Runtime, utc_now

MOST_RUNNING, MOST_PRESENT = 100, 200
LATELY = timedelta(days=1)
"""A process that was silent for longer is not listed."""

SILENT_SECONDS = 60.0
"""A process that was silent for longer is marked."""


def gather(session: Session) -> dict[str, Any]:
    """What the template is given."""
    now = utc_now()
    workers = queue_overview.present(session, now - LATELY, MOST_PRESENT)
    return {
        "depth": queue_overview.depth(session),
        "jobs": queue_overview.running(session, MOST_RUNNING),
        "workers": {kind: list(group) for kind, group in groupby(workers, key=lambda one: one.kind)},
        "silent": SILENT_SECONDS,
        "now": now,
    }


def parts(values: dict[str, Any]) -> dict[str, str]:
    """The part of the page that changes, as text, and what is said of it aloud."""
    depth = values["depth"]
    said = f"{depth.running} jobs run, {sum(depth.queued.values())} wait."
    return {"queue": fragment("queue_now.html", values), "said": said}


def add_queue(app: FastAPI, runtime: Runtime) -> None:
    """Add the page of the queue."""

    def queue_page(request: Request) -> HTMLResponse:
        with runtime.store.reading() as session:
            values = gather(session)
        return page(request, "queue.html", {**values, "parts": parts(values)})

    app.add_api_route("/queue", queue_page, methods=["GET"], include_in_schema=False)
