"""`/activity`: for operators, what was changed by whom, and what agents call as it happens."""

from typing import Annotated

from fastapi import FastAPI, Query, Request
from starlette.responses import HTMLResponse

from db import audit, traffic
from db.session import Session
from server.pages.live import Source
from server.pages.shell import fragment, page
from server.runtime import Runtime
from server.toolbox import ScopeMissing

ON_A_PAGE, CALLS = 50, 50


def allow(request: Request) -> None:
    """Only who may do everything sees what everybody does. Raises ScopeMissing."""
    if "admin" not in request.scope["igla.principal"].scopes:
        raise ScopeMissing("What everybody does is for the scope admin.", ("admin",))


def parts(session: Session) -> dict[str, str]:
    """The parts of the page that change, as text."""
    calls, first = traffic.latest(session, CALLS), audit.rows(session, ON_A_PAGE + 1)
    return {"calls": fragment("activity_calls.html", {"calls": calls}), "changes": changes(first)}


def changes(found: list[audit.AuditView]) -> str:
    """A page of the audit log as text, the latest first."""
    shown = found[:ON_A_PAGE]
    before = shown[-1].id if len(found) > ON_A_PAGE else None
    return fragment("activity_changes.html", {"rows": shown, "before": before})


def source(runtime: Runtime) -> Source:
    """Version and parts of the page."""

    def version() -> object:
        with runtime.store.reading() as session:
            return traffic.last_id(session), [row.id for row in audit.rows(session, 1)]

    def rendered() -> dict[str, str]:
        with runtime.store.reading() as session:
            return parts(session)

    return Source(topic="activity", version=version, parts=rendered)


def add_activity(app: FastAPI, runtime: Runtime) -> None:
    """Add the page of what everybody does."""

    def activity_page(
        request: Request, before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None
    ) -> HTMLResponse:
        allow(request)
        with runtime.store.reading() as session:
            shown = parts(session)
            if before is not None:
                shown = {**shown, "changes": changes(audit.rows(session, ON_A_PAGE + 1, before=before))}
        return page(request, "activity.html", {"parts": shown, "is_first": before is None})

    app.add_api_route("/activity", activity_page, methods=["GET"], include_in_schema=False)
