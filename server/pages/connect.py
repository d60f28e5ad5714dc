"""`/connect`: what to copy so that an agent reaches this server."""

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse

from db.tokens import LOCAL
from server.challenges import base_of
from server.hosts import VARIABLE, configs
from server.pages.shell import page
from server.runtime import Runtime


def add_connect(app: FastAPI, runtime: Runtime) -> None:
    """Add the page of connections."""

    def connect_page(request: Request) -> HTMLResponse:
        url = base_of(request.scope, runtime.settings)
        is_open = request.scope["igla.principal"] == LOCAL
        hosts = configs(url, variable="" if is_open else VARIABLE)
        return page(request, "connect.html", {"url": url, "hosts": hosts, "is_open": is_open, "variable": VARIABLE})

    app.add_api_route("/connect", connect_page, methods=["GET"], include_in_schema=False)
