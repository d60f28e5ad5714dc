"""Pages: the dashboard, rendered by the server. One small module a page; they read what the tools read.

Every page works without JavaScript; with it, its parts follow what happens. `door` says who may see what, `shell` puts
the frame around a page, `live` tells what has changed.
"""

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse, Response

from errors import InvalidValue
from server.credentials import Credentials
from server.runtime import Runtime


def add_pages(app: FastAPI, runtime: Runtime, credentials: Credentials) -> None:
    """Add every page, its live parts and the files that pages use. Streams end when the server drains."""
    from server.pages.activity import add_activity
    from server.pages.arena import add_arena
    from server.pages.connect import add_connect
    from server.pages.events import add_events
    from server.pages.files import add_files
    from server.pages.glossary import add_glossary
    from server.pages.live import Hub
    from server.pages.matrix import add_matrix
    from server.pages.pauses import Pauses
    from server.pages.queue import add_queue
    from server.pages.race import FirstPages, add_race
    from server.pages.races import add_races
    from server.pages.run import add_run
    from server.pages.sign_in import add_sign_in

    first, hub = FirstPages(runtime), Hub(runtime.draining.begun.is_set, pause=Pauses(runtime.live))
    for add in (add_races, add_matrix, add_run, add_queue, add_arena, add_glossary, add_connect):
        add(app, runtime)
    add_activity(app, runtime)
    add_race(app, runtime, first)
    add_sign_in(app, runtime, credentials)
    add_files(app)
    add_events(app, runtime, first, hub)
    app.add_exception_handler(RequestValidationError, bad_address)


async def bad_address(request: Request, error: Exception) -> Response:
    """An address with a value that cannot be."""
    from server.pages.refusals import answer

    refusal = InvalidValue("The address has a part that cannot be.")
    body = {"code": refusal.code, "message": refusal.message, "next_step": refusal.next_step}
    return answer(request, refusal, JSONResponse(body, refusal.status))
