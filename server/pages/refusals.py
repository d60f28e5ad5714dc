"""Refusals for browsers: the same code, message and next step as everywhere, as a page."""

from starlette.requests import Request
from starlette.responses import Response

from errors import Refusal

MACHINES = ("/api/", "/mcp", "/artifacts/", "/openapi.json", "/static/", "/events/")
"""Below these addresses nobody is shown a page."""

HEADINGS = {
    401: "Sign in to see this page",
    403: "This is not open to you",
    404: "There is nothing here",
    429: "Too many at once",
}


def wants_page(request: Request) -> bool:
    """Whether a person asks with a browser."""
    path = request.url.path
    return "text/html" in request.headers.get("accept", "") and not path.startswith(MACHINES)


def answer(request: Request, refusal: Refusal, plain: Response) -> Response:
    """A page for browsers, and the plain answer for everybody else."""
    if not wants_page(request):
        return plain
    from server.pages.shell import page  # here, since the shell around every doorway imports this file

    heading = HEADINGS.get(refusal.status, "That did not work")
    values = {"refusal": refusal, "heading": heading, "next": local(request.url.path)}
    told = page(request, "refusal.html", values, refusal.status)
    for name in ("www-authenticate", "retry-after", "allow"):
        if name in plain.headers:
            told.headers[name] = plain.headers[name]
    return told


def local(path: str) -> str:
    """An address on this server to go to afterwards; the front page in place of any other."""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\", "/sign-")) and path.isprintable()
    return path if is_local and "\\" not in path else "/"
