"""`/static/NAME` and the icon: the few files that pages use."""

from fastapi import FastAPI, Request
from starlette.responses import FileResponse

from errors import unknown
from server.pages.shell import STATIC

TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}
KEEP = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
LOOK = {"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}


def add_files(app: FastAPI) -> None:
    """Add the routes. A name is looked up in the list of the folder's files, so none leads out of it."""
    files = {file.name: file for file in STATIC.iterdir() if file.suffix in TYPES}

    async def static_file(name: str, request: Request) -> FileResponse:
        if name not in files:
            raise unknown("file", name, files)
        headers = KEEP if "v" in request.query_params else LOOK
        return FileResponse(files[name], headers=headers, media_type=TYPES[files[name].suffix])

    async def icon() -> FileResponse:
        return FileResponse(files["favicon.svg"], headers=LOOK, media_type=TYPES[".svg"])

    app.add_api_route("/static/{name}", static_file, methods=["GET"], include_in_schema=False)
    app.add_api_route("/favicon.svg", icon, methods=["GET"], include_in_schema=False)
