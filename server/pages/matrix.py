"""`/races/{name}/matrix`: number formats against optimizers, as a heat map with its numbers."""

from fastapi import FastAPI, Request
from starlette.responses import HTMLResponse

from db import overview, races
from errors import Refusal
from server.pages.shell import page
from server.report import heats, matrix
from server.runtime import Runtime


class NoMatrix(Refusal):
    """Look at the board of the race; `plan_race` with a matrix queues recipes with number formats."""

    code = "no_matrix"
    status = 404


def add_matrix(app: FastAPI, runtime: Runtime) -> None:
    """Add the page of a race's matrix."""

    def matrix_page(request: Request, name: str) -> HTMLResponse:
        with runtime.store.reading() as session:
            race = races.find(session, name)
            table = matrix(session, race)
            if table is None:
                raise NoMatrix("No recipe of this race has a number format.")
            cells = [cell.recipe for row in table.rows for cell in row.cells if cell]
            runs = overview.runs_of(session, race.id, cells)
        first = {recipe: job for (recipe, _, _), job in sorted(runs.items(), reverse=True)}
        values = {"race": race, "table": table, "heat": heats(table), "runs": first}
        return page(request, "matrix.html", values)

    app.add_api_route("/races/{name}/matrix", matrix_page, methods=["GET"], include_in_schema=False)
